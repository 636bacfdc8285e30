"""Faces are found at any size that matters, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from pipeline.faces.detector import Detector, overlap
from pipeline.types import Frame
from tests.pipeline.faces.pictures import COLOR, blank, covered, demo_facts, paste, resized

FACE = torch.tensor([193.0, 90.0, 317.0, 237.0])
"""Around the mesh of the demo portrait."""


def test_the_portrait_has_one_face_and_its_eyes_are_in_order(
    detector: Detector, portrait: Frame
) -> None:
    found = detector.whole([portrait], demo_facts().color)[0]
    assert len(found) == 1
    assert float(found.scores[0]) > 0.8
    assert float(overlap(FACE, found.boxes)[0]) > 0.5
    left, right = found.eyes[0]
    assert float(left[0]) < float(right[0])
    assert abs(float(left[1] - right[1])) < 15


@pytest.mark.parametrize("face_px", [60, 100])
def test_a_small_face_in_a_large_frame_is_found_through_tiles(
    detector: Detector, portrait: Frame, face_px: int
) -> None:
    scale = face_px / 147
    high, wide = (int(n * scale) // 2 * 2 for n in (portrait.height, portrait.width))
    frame = paste(blank(0, 1920, 1080), resized(portrait, high, wide), 600, 1300)
    assert len(detector.whole([frame], COLOR)[0]) == 0
    found = detector.closely(frame, COLOR, 40)
    expected = FACE * scale + torch.tensor([600, 1300, 600, 1300])
    assert float(overlap(expected, found.boxes).max()) > 0.4


def test_a_named_place_is_looked_at_closely(detector: Detector, portrait: Frame) -> None:
    frame = paste(blank(0, 1080, 1920), resized(portrait, 200, 200), 1500, 100)
    scale = 200 / portrait.height
    near = FACE * scale + torch.tensor([1500, 100, 1500, 100])
    found = detector.closely(frame, COLOR, 40, near)
    assert float(overlap(near, found.boxes).max()) > 0.4
    assert len(detector.closely(frame, COLOR, 40, near - torch.tensor([1200, 0, 1200, 0]))) == 0


def test_nothing_is_found_where_nothing_is(detector: Detector) -> None:
    assert len(detector.whole([blank(0)], COLOR)[0]) == 0
    assert len(detector.closely(blank(0), COLOR, 40)) == 0


def test_a_covered_face_is_not_confirmed(detector: Detector, portrait: Frame) -> None:
    hidden = covered(portrait, 170, 70, 340, 260)
    scores = detector.confirm([portrait, hidden], FACE.repeat(2, 1), demo_facts().color)
    assert float(scores[0]) > 0.8
    assert float(scores[1]) < 0.5
