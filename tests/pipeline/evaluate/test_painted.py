"""Which of several faces is measured: the one that was painted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.evaluate.evidence import Sources, gather
from pipeline.mark.visible import VisibleLabel
from pipeline.types import Frame
from schemas.request import LabelOptions
from tests.pipeline.faces.pictures import blank, demo_frames, mirrored, paste, resized
from tests.pipeline.mark.films import write

Box = tuple[int, int, int, int]
FRAMES = 12
LARGE, SMALL = (220, 300, 300, 350), (700, 320, 780, 370)
"""Over the mouths of two people, x0 y0 x1 y1."""


def _two() -> list[Frame]:
    portrait = demo_frames(1)[0]
    large, small = resized(portrait, 512, 512), resized(mirrored(portrait), 440, 440)
    return [paste(paste(blank(n, 520, 960), large, 0, 4), small, 516, 60) for n in range(FRAMES)]


def _darker(frames: list[Frame], box: Box) -> list[Frame]:
    x0, y0, x1, y1 = box
    made = []
    for frame in frames:
        y = frame.y.clone()
        y[y0:y1, x0:x1] = (y[y0:y1, x0:x1].int() - 25).clamp(16, 235).to(torch.uint8)
        made.append(replace(frame, y=y))
    return made


def _labelled(frames: list[Frame], corner: str) -> list[Frame]:
    options = LabelOptions.model_validate({"position": corner})
    label = VisibleLabel.draw(options, frames[0].width, frames[0].height)
    return [label.apply(frame) for frame in frames]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("box", "corner", "right"), [(LARGE, "bottom-right", False), (SMALL, "top-left", True)]
)
def test_of_two_faces_the_one_that_differs_is_measured_and_not_the_one_beside_the_label(
    box: Box, corner: str, right: bool, tmp_path: Path
) -> None:
    frames = _two()
    reference = write(tmp_path / "reference.mp4", frames, 18)
    output = write(tmp_path / "output.mp4", _labelled(_darker(frames, box), corner), 18)
    evidence = gather(Sources(output, reference), "cpu", 1)
    assert evidence.reference is not None
    for watched in (evidence.output, evidence.reference):
        assert watched.faces == 2
        seen = watched.mouths.face[watched.mouths.usable]
        assert bool((seen[:, 0] > 500).all()) is right


@pytest.mark.slow
def test_where_nothing_was_painted_the_largest_face_is_measured(tmp_path: Path) -> None:
    reference = write(tmp_path / "reference.mp4", _two(), 18)
    evidence = gather(Sources(reference, reference), "cpu", 1)
    assert bool((evidence.output.mouths.face[:, 2] < 520).all())
