"""Cuts between shots, seen on a tiny copy of each frame's luma."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.types import Frame

ROWS, COLUMNS = 24, 40
THRESHOLD = 18.0
"""Mean difference of neighbouring copies, of 255, below which nothing is a cut."""
TIMES_USUAL = 4.0
"""A cut also differs this many times more than the frames before it did."""


class CutFinder:
    """Says of frames, fed in order, whether a new shot begins with them."""

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._usual = 2.0

    def find(self, frames: Sequence[Frame]) -> list[int]:
        """Which of the next frames are the first of a shot; the clip's first frame is none."""
        if not frames:
            return []
        copies = _tiny(frames)
        before, new = (copies[:1], 1) if self._last is None else (self._last, 0)
        self._last = copies[-1:]
        # A change of exposure alone moves all values; a cut also changes where things are.
        change = (copies - torch.cat([before, copies[:-1]])).flatten(1)
        differs = (change - change.median(1, keepdim=True).values).abs().mean(1)
        values = differs.tolist()[new:]
        return [n for n, value in enumerate(values, new) if self._is_cut(value)]

    def _is_cut(self, differs: float) -> bool:
        cut = differs > max(THRESHOLD, TIMES_USUAL * self._usual)
        if not cut:
            self._usual += 0.2 * (differs - self._usual)
        return cut


def _tiny(frames: Sequence[Frame]) -> Tensor:
    """(N, ROWS, COLUMNS) float32; each value the mean of nine samples of its cell."""
    places = _samples(frames[0].height, frames[0].width)
    picked = torch.stack([frame.y[places] for frame in frames]).float()
    return torch.nn.functional.avg_pool2d(picked, 3)


@lru_cache(maxsize=8)
def _samples(height: int, width: int) -> tuple[Tensor, Tensor]:
    y = torch.linspace(0, height - 1, 3 * ROWS).long()
    x = torch.linspace(0, width - 1, 3 * COLUMNS).long()
    return y.unsqueeze(1), x
