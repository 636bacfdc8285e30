"""Faces of other colours: the mesh lies where it lay, and nothing is taken for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.faces.track import FaceTrack
from pipeline.types import Frame
from tests.pipeline.faces.pictures import DARK, PALE, demo_facts, demo_frames
from tests.support.tracking import tracked

FRAMES = 26


def _toned(frame: Frame, power: float, bright: float, tint: float) -> Frame:
    luma = ((frame.y.float() - 16) / 219).clamp(0, 1).pow(power) * bright * 219 + 16
    u, v = (128 + (plane.float() - 128) * tint for plane in (frame.u, frame.v))
    y, u, v = (plane.round().clamp(0, 255).to(torch.uint8) for plane in (luma, u, v))
    return replace(frame, y=y, u=u, v=v)


def dark(frame: Frame) -> Frame:
    return _toned(frame, *DARK)


def pale(frame: Frame) -> Frame:
    return _toned(frame, *PALE)


def _tracked(frames: list[Frame], scratch: Path) -> FaceTrack:
    return tracked(frames, demo_facts(), len(frames), scratch)


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("tone", [dark, pale])
def test_face_is_found_where_it_is_on_dark_and_on_pale_skin(
    tone: Callable[[Frame], Frame], tmp_path: Path
) -> None:
    frames = demo_frames(FRAMES)
    usual = _tracked(frames, tmp_path)
    other = _tracked([tone(frame) for frame in frames], tmp_path)
    assert bool(other.usable.all())
    apart = (usual.points(0, FRAMES) - other.points(0, FRAMES))[..., :2].norm(dim=2).mean(1)
    assert float((apart / usual.io).max()) < 0.02
