"""Cuts between shots, seen on a tiny copy of each frame's luma."""

from __future__ import annotations

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
    """Says of each frame whether a new shot begins with it. Feed frames in order."""

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._usual = 2.0

    def is_cut(self, frame: Frame) -> bool:
        """True for the first frame of a shot; the clip's first frame is none."""
        copy = _tiny(frame)
        last, self._last = self._last, copy
        if last is None:
            return False
        # A change of exposure alone moves all values; a cut also changes where things are.
        change = copy - last
        differs = float((change - change.median()).abs().mean())
        cut = differs > max(THRESHOLD, TIMES_USUAL * self._usual)
        if not cut:
            self._usual += 0.2 * (differs - self._usual)
        return cut


def _tiny(frame: Frame) -> Tensor:
    """(ROWS, COLUMNS) float32; each value the mean of nine samples of its cell."""
    picked = frame.y[_samples(frame.height, frame.width)].float()
    return torch.nn.functional.avg_pool2d(picked.unsqueeze(0), 3)[0]


@lru_cache(maxsize=8)
def _samples(height: int, width: int) -> tuple[Tensor, Tensor]:
    y = torch.linspace(0, height - 1, 3 * ROWS).long()
    x = torch.linspace(0, width - 1, 3 * COLUMNS).long()
    return y.unsqueeze(1), x
