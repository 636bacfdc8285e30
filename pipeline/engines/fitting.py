"""OpenCV's linear resizing of many pictures at once, each by its own taps, to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
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
    """Samples of the result before the target; there and behind it, its edge goes on."""
    full: int = 0
    """Samples of the result; 0: those of the target."""


@dataclass(frozen=True, slots=True)
class Taps:
    """Of B pictures, (B, wide, 2) and (B, high, 2) int64: places in the source, and weights."""

    columns: Tensor
    column_weights: Tensor
    rows: Tensor
    row_weights: Tensor


def taps_of(axes: Sequence[tuple[Stretch, Stretch]], device: torch.device) -> Taps:
    """The taps of B resizes, brought to the device in one copy.

    Args:
        axes: along the rows and down the columns of each; results are all of one size.
        device: may still be copying when this returns; what follows on its stream waits.
    """
    across = axes[0][0]
    wide = across.full or across.target
    rows = [_row(*pair) for pair in axes]
    held = torch.stack(rows, out=staging((len(rows), *rows[0].shape), device, torch.int64))
    whole = held.to(device, non_blocking=True)
    columns, rest = whole[:, :, : 2 * wide], whole[:, :, 2 * wide :]
    shape = (len(rows), -1, 2)
    return Taps(
        columns[:, 0].view(shape),
        columns[:, 1].view(shape),
        rest[:, 0].view(shape),
        rest[:, 1].view(shape),
    )


@lru_cache(maxsize=4096)  # the boxes of a face differ by some pixels: the same ones come again
def _row(across: Stretch, down: Stretch) -> Tensor:
    """(2, 2 wide + 2 high) int64: places and weights of the columns, then those of the rows."""
    parts = []
    for axis, closed in ((across, True), (down, False)):
        index, weight = linear_taps(axis.source, axis.target, closed=closed)
        place = (torch.arange(axis.full or axis.target) - axis.lead).clamp(0, axis.target - 1)
        parts.append(torch.stack([index + axis.first, weight])[:, place].flatten(1))
    return torch.cat(parts, dim=1)


def fitted(pictures: Tensor, taps: Taps) -> Tensor:
    """Resize B pictures.

    Args:
        pictures: (B, C, H, W) uint8.
        taps: of each.

    Returns:
        (B, C, high, wide) uint8.
    """
    batch, channels, size = pictures.shape[:3]
    wide, high = taps.columns.shape[1], taps.rows.shape[1]
    index = taps.columns.view(batch, 1, 1, -1).expand(-1, channels, size, -1)
    taken = pictures.gather(3, index).to(torch.int32).view(batch, channels, size, wide, 2)
    weight = taps.column_weights.to(torch.int32).view(batch, 1, 1, wide, 2)
    lines = (taken * weight).sum(4, dtype=torch.int32) >> 4
    index = taps.rows.view(batch, 1, -1, 1).expand(-1, channels, -1, wide)
    pairs = lines.gather(2, index).view(batch, channels, high, 2, wide)
    weight = taps.row_weights.to(torch.int32).view(batch, 1, high, 2, 1)
    upper, lower = ((pairs * weight) >> 16).unbind(3)
    return ((upper + lower + 2) >> 2).clamp(0, 255).to(torch.uint8)
