"""OpenCV's linear resizing of many pictures at once, each by its own taps, to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engines.taps import linear_taps
from pipeline.engines.windows import staging


class Stretch(NamedTuple):
    """One axis of one resize."""

    source: int
    """Samples of what is resized."""
    target: int
    """Samples that it becomes."""
    first: int = 0
    """Where the source begins in its tensor."""
    lead: int = 0
    """Samples of the result before the target."""
    full: int = 0
    """Samples of the result; 0: those of the target."""
    dark: bool = False
    """Beside the target the result is 0; else its edge goes on there."""


Pair = tuple[Stretch, Stretch]
"""Along the rows of a picture, and down its columns."""
Line = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Taps:
    """Of B pictures, (B, wide, 2) and (B, high, 2): places in the source, int64, weights, int32."""

    columns: Tensor
    column_weights: Tensor
    rows: Tensor
    row_weights: Tensor


def taps_of(pictures: Sequence[Sequence[Pair]], device: torch.device) -> list[Taps]:
    """The taps of K resizes of each of B pictures, brought to the device in one copy.

    Args:
        pictures: for each the K resizes; the results of one are of one size for all pictures.
        device: may still be copying when this returns; what follows on its stream waits.

    Returns:
        Those of each resize.
    """
    sizes = [axis.full or axis.target for pair in pictures[0] for axis in pair]
    held = staging((len(pictures), 2, 2 * sum(sizes)), device, torch.int64)
    for row, pairs in zip(held.numpy(), pictures, strict=True):
        lines = [
            _line(axis, closed)
            for pair in pairs
            for axis, closed in zip(pair, (True, False), strict=True)
        ]
        np.concatenate(lines, axis=1, out=row)
    whole = held.to(device, non_blocking=True).view(len(pictures), 2, -1, 2)
    places, weights = whole.unbind(1)
    split = (torch.split(part, sizes, 1) for part in (places, weights.to(torch.int32)))
    parts = zip(*split, strict=True)
    return [Taps(*across, *down) for across, down in zip(parts, parts, strict=True)]


@lru_cache(maxsize=4096)  # the boxes of a face differ by some pixels: the same sides come again
def _line(axis: Stretch, closed: bool) -> Line:
    """(2, 2 full) places and weights of one axis."""
    index, weight = linear_taps(axis.source, axis.target, closed=closed)
    inside = np.arange(axis.full or axis.target) - axis.lead
    place = inside.clip(0, axis.target - 1)
    made = np.stack([index.numpy() + axis.first, weight.numpy()])[:, place]
    if axis.dark:
        made[1, place != inside] = 0
    return made.reshape(2, -1)


def fitted(pictures: Tensor, taps: Taps) -> Tensor:
    """Resize B pictures.

    Args:
        pictures: (B, C, H, W) uint8.

    Returns:
        (B, C, high, wide) uint8.
    """
    batch, channels, size = pictures.shape[:3]
    wide, high = taps.columns.shape[1], taps.rows.shape[1]
    index = taps.columns.view(batch, 1, 1, -1).expand(-1, channels, size, -1)
    taken = pictures.gather(3, index).to(torch.int32).view(batch, channels, size, wide, 2)
    weight = taps.column_weights.view(batch, 1, 1, wide, 2)
    lines = (taken * weight).sum(4, dtype=torch.int32) >> 4
    index = taps.rows.view(batch, 1, -1, 1).expand(-1, channels, -1, wide)
    pairs = lines.gather(2, index).view(batch, channels, high, 2, wide)
    weight = taps.row_weights.view(batch, 1, high, 2, 1)
    upper, lower = ((pairs * weight) >> 16).unbind(3)
    return ((upper + lower + 2) >> 2).clamp(0, 255).to(torch.uint8)
