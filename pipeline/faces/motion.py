"""Where a face went since it was last seen, from luma alone, to look for it in the right place.

Correlation of small copies of the picture around it, whitened half-way between plain correlation
and phase correlation (Kuglin, Hines: "The phase correlation image alignment method", IEEE Conf. on
Cybernetics and Society, 1975). A look of the mesh network at the wrong place costs thirty times as
much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pipeline.types import Frame

SIDE = 48
"""Cells along a side of a copy."""
FINE = 3
"""Samples along a side of a cell, averaged."""
FURTHEST = 0.3
"""Of the region's side: what seems to have gone further was mistaken."""


class Window:
    """A square of the picture, as it was when the face was in its middle.

    Args:
        region: (4,) the face's region in it, see `pipeline.faces.roi`.
    """

    def __init__(self, frame: Frame, region: Iterable[float] | Tensor) -> None:
        x, y, size, _ = (float(value) for value in region)
        steps = (torch.arange(SIDE * FINE) + 0.5) / (SIDE * FINE) - 0.5
        self._rows = (y + steps * size).round().long().clamp(0, frame.height - 1).unsqueeze(1)
        self._columns = (x + steps * size).round().long().clamp(0, frame.width - 1)
        self._size = size
        fade = torch.hann_window(SIDE, periodic=False)
        self._fade = fade.unsqueeze(1) * fade
        self._before = self._spectrum([frame])

    def shifts(self, frames: Sequence[Frame]) -> Tensor:
        """How far the face moved, (N, 2) pixels as (x, y); NaN where that cannot be."""
        cross = self._spectrum(frames) * self._before.conj()
        power = cross.abs()
        whitened = cross / power.sqrt().clamp_min(1e-6)
        surface = torch.fft.irfft2(whitened, s=(SIDE, SIDE))
        best = surface.flatten(1).argmax(1)
        cells = torch.stack([best % SIDE, best // SIDE], dim=1)
        moved = (cells + SIDE // 2) % SIDE - SIDE // 2
        share = moved / SIDE
        share[share.abs().amax(1) > FURTHEST] = torch.nan
        return share * self._size

    def _spectrum(self, frames: Sequence[Frame]) -> Tensor:
        fine = torch.stack([frame.y[self._rows, self._columns] for frame in frames]).float()
        cells = torch.nn.functional.avg_pool2d(fine, FINE)
        level = cells.mean((1, 2), keepdim=True)
        spectrum: Tensor = torch.fft.rfft2((cells - level) * self._fade)
        return spectrum
