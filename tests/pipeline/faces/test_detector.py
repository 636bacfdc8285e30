"""Faces are found at any size that matters, and nowhere else."""

from __future__ import annotations

import pytest

from pipeline.faces.detector import Detector
from pipeline.faces.rectangles import Rect, overlap
from pipeline.types import Frame
from tests.pipeline.faces.pictures import COLOR, blank, covered, demo_facts, paste, resized

FACE: Rect = (193.0, 90.0, 317.0, 237.0)
"""Around the mesh of the demo portrait."""


def moved(box: Rect, scale: float, x: float, y: float) -> Rect:
    """The same box of a scaled and shifted picture."""
    return (box[0] * scale + x, box[1] * scale + y, box[2] * scale + x, box[3] * scale + y)


def test_the_portrait_has_one_face_and_its_eyes_are_in_order(
    detector: Detector, portrait: Frame
) -> None:
    found = detector.whole([portrait], demo_facts().color)[0]
    assert len(found) == 1
    assert found.scores[0] > 0.8
    assert overlap(FACE, found.boxes[0]) > 0.5
    left, right = found.eyes[0]
    assert left[0] < right[0]
    assert abs(left[1] - right[1]) < 15


@pytest.mark.parametrize("face_px", [60, 100])
def test_a_small_face_in_a_large_frame_is_found_through_tiles(
    detector: Detector, portrait: Frame, face_px: int
) -> None:
    scale = face_px / 147
    high, wide = (int(n * scale) // 2 * 2 for n in (portrait.height, portrait.width))
    frame = paste(blank(0, 1920, 1080), resized(portrait, high, wide), 600, 1300)
    assert len(detector.whole([frame], COLOR)[0]) == 0
    found = detector.closely(frame, COLOR, 40)
    expected = moved(FACE, scale, 600, 1300)
    assert max(overlap(expected, box) for box in found.boxes) > 0.4


def test_a_named_place_is_looked_at_closely(detector: Detector, portrait: Frame) -> None:
    frame = paste(blank(0, 1080, 1920), resized(portrait, 200, 200), 1500, 100)
    scale = 200 / portrait.height
    near = moved(FACE, scale, 1500, 100)
    found = detector.closely(frame, COLOR, 40, near)
    assert max(overlap(near, box) for box in found.boxes) > 0.4
    assert len(detector.closely(frame, COLOR, 40, moved(near, 1, -1200, 0))) == 0


def test_nothing_is_found_where_nothing_is(detector: Detector) -> None:
    assert len(detector.whole([blank(0)], COLOR)[0]) == 0
    assert len(detector.closely(blank(0), COLOR, 40)) == 0


def test_a_covered_face_is_not_confirmed(detector: Detector, portrait: Frame) -> None:
    hidden = covered(portrait, 170, 70, 340, 260)
    scores = detector.confirm([portrait, hidden], [FACE, FACE], demo_facts().color)
    assert scores[0] > 0.8
    assert scores[1] < 0.5
