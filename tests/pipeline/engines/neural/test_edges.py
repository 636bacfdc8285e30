"""Faces of all sizes, wherever they lie: no sample outside their masks changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.engines.neural.avatar import Avatar
from pipeline.types import Frame
from tests.pipeline.engines.resized import opencv_linear
from tests.pipeline.engines.runs import Run, musetalk, run, same, wav2lip

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"height": 120, "width": 160, "face": (60, 55, 30)},
    "smallest": {"height": 96, "width": 96, "face": (40, 45, 24)},
    "large": {"height": 960, "width": 900, "face": (440, 450, 400)},
    "larger than the picture": {"height": 240, "width": 240, "face": (115, 110, 190)},
    "left": {"face": (20, 115, 62)},
    "right": {"face": (300, 115, 62)},
    "top": {"face": (150, 30, 62)},
    "bottom": {"face": (150, 215, 62)},
    "corner": {"face": (310, 220, 62)},
    "beyond": {"face": (322, 115, 62)},
    "no multiple of 16": {"height": 130, "width": 182, "face": (81, 63, 41)},
    "odd places": {"face": (151.5, 114.5, 61.3)},
}
"""As `synthetic.reference` takes them."""


def may_change(avatar: Avatar, frame: Frame) -> Tensor:
    """Luma that the mask lets through, bool."""
    allowed = torch.zeros_like(frame.y, dtype=torch.bool)
    box = avatar.boxes[frame.index]
    mask = avatar.masks[avatar.rows[frame.index]]
    allowed[box.y0 : box.y1, box.x0 : box.x1] = opencv_linear(mask, box.height, box.width) > 0
    return allowed


def held(avatar: Avatar, before: Frame, after: Frame) -> None:
    if before.index not in avatar.boxes:
        assert same(before, after)
        return
    allowed = may_change(avatar, before)
    assert not ((before.y != after.y) & ~allowed).any()
    touched = allowed.view(allowed.shape[0] // 2, 2, -1, 2).any(3).any(1)
    for below, above in ((before.u, after.u), (before.v, after.v)):
        assert not ((below != above) & ~touched).any()


@pytest.mark.parametrize("make", [musetalk, wav2lip])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_outside_a_mask_changes(
    make: Callable[[], Any], shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()
    avatars: list[Avatar] = []
    whole = engine.prepare

    def prepare(*given: Any) -> Avatar:
        avatars.append(whole(*given))
        return avatars[0]

    monkeypatch.setattr(engine, "prepare", prepare)
    done: Run = run(engine, tmp_path, seconds=0.2, frames=5, **SHAPES[shape])
    for before, after in zip(done.before, done.after, strict=True):
        held(avatars[0], before, after)
    assert any(not same(*pair) for pair in zip(done.before, done.after, strict=True))
