"""A face is followed through a clip."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.engines.viseme.points import LIPS
from pipeline.errors import Cancelled
from pipeline.faces.track import BATCH
from pipeline.types import Color, Frame, Tick
from pipeline.weights import FaceModels
from schemas.codes import Stage
from tests.pipeline.faces.following import follow, track
from tests.pipeline.faces.pictures import (
    blank,
    demo_frames,
    paste,
    renumbered,
    resized,
)

pytestmark = pytest.mark.usefixtures("face_models")


def moving(portrait: Frame, count: int, step: int) -> list[Frame]:
    """The portrait slides to the right over a grey wall."""
    return [
        paste(blank(n, 600, 1000), resized(portrait, 512, 512), 40 + step * n, 60)
        for n in range(count)
    ]


def test_points_follow_a_face_that_slides(tmp_path: Path, portrait: Frame) -> None:
    found = track(moving(portrait, 32, 6), tmp_path)
    assert bool(found.usable.all())
    points = found.points(0, 32)
    expected = points[0, :, 0] + 6 * torch.arange(32).unsqueeze(1)
    off = (points[..., 0] - expected).abs()[:, list(LIPS)].mean(1) / found.io
    assert float(off.max()) < 0.03
    assert float((points[..., 1] - points[0, :, 1]).abs().mean() / found.io[0]) < 0.02
    assert not bool(found.cut.any())


def test_a_still_face_does_not_jitter(tmp_path: Path, portrait: Frame) -> None:
    torch.manual_seed(0)
    frames = []
    for n in range(40):
        noise = torch.randn(portrait.y.shape) * 2
        y = (portrait.y.float() + noise).round().clamp(0, 255).to(torch.uint8)
        frames.append(Frame(y, portrait.u, portrait.v, n))
    found = track(frames, tmp_path)
    points = found.points(0, 40)[..., :2]
    shake = (points[2:] - 2 * points[1:-1] + points[:-2]).norm(dim=2).mean() / found.io[0]
    assert float(shake) < 0.0015


def test_one_picture_is_enough(tmp_path: Path, portrait: Frame) -> None:
    found = track([portrait], tmp_path)
    assert len(found) == 1
    assert found.points(0, 1).shape == (1, 478, 3)
    assert float(found.score[0]) > 0.9
    assert found.reason(7) == "no_face"


def test_a_rotated_matrix_of_colours_changes_little(tmp_path: Path, portrait: Frame) -> None:
    """The same planes read by another matrix are the same face to a pixel."""
    here = track([portrait], tmp_path).points(0, 1)
    other = Color(9, True, 9, 14)
    found = follow(iter([portrait]), portrait, 1, tmp_path, color=other)
    assert float((found.points(0, 1) - here)[..., :2].norm(dim=2).mean()) < 2


def test_frames_are_let_go_while_the_track_goes_on(tmp_path: Path, portrait: Frame) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def frames() -> Iterator[Frame]:
        nonlocal most
        for n in range(80):
            luma = portrait.y.clone()
            alive.add(luma)
            most = max(most, len(alive))
            yield Frame(luma, portrait.u, portrait.v, n)
            del luma

    found = follow(frames(), portrait, 80, tmp_path)
    assert len(found) == 80
    assert most <= 2 * BATCH + 1


def test_a_tick_may_stop_the_track(tmp_path: Path, portrait: Frame) -> None:
    seen: list[Tick] = []

    def on_tick(tick: Tick) -> None:
        seen.append(tick)
        if len(seen) == 2:
            raise Cancelled("stop", stage=Stage.TRACK)

    frames = iter(renumbered([portrait] * 60))
    with pytest.raises(Cancelled):
        follow(frames, portrait, 60, tmp_path, on_tick=on_tick)
    assert [tick.done for tick in seen] == [BATCH, 2 * BATCH]
    assert seen[0].total == 60


def test_the_demo_clip_is_usable_throughout(tmp_path: Path) -> None:
    frames = demo_frames(24)
    found = track(frames, tmp_path)
    assert bool(found.usable.all())
    assert float(found.yaw.abs().max()) < 10
    assert found.faces_seen == 1
    summary = found.summary()
    assert summary["frames"] == 24
    assert 120 < summary["face_px"] < 180


@pytest.mark.gpu
def test_cuda_sees_what_the_cpu_sees(
    tmp_path: Path, portrait: Frame, face_models: FaceModels
) -> None:
    here = track([portrait], tmp_path).points(0, 1)
    there = follow(iter([portrait]), portrait, 1, tmp_path, device="cuda").points(0, 1)
    assert float((here - there)[..., :2].norm(dim=2).mean()) < 0.3
