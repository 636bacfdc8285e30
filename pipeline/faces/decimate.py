"""What small pictures of squares need of planes: the parts below them, with fewer samples.

A large square in a small picture is averaged in blocks first, so that the bilinear reading after it
skips nothing (decimation: a low-pass and fewer samples).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

COARSE = 4
"""Pixels to one of the output from which on only a part of them is read."""
Line = tuple[float, float, float]
"""Places by column of a square, in its middle, by row."""


class Square(NamedTuple):
    """A region on one plane: centre, the vector along its upper edge, plane pixels per output's."""

    x: float
    y: float
    right: float
    down: float
    scale: float

    def chroma(self) -> Square:
        """The same on a chroma plane.

        Its samples sit on the left luma column of each pair, between its two rows (H.264 annex E,
        chroma_sample_loc_type 0).
        """
        return Square(self.x / 2, (self.y - 0.5) / 2, self.right / 2, self.down / 2, self.scale / 2)

    @property
    def reach(self) -> float:
        """Half the side of the upright box around it."""
        return (abs(self.right) + abs(self.down)) / 2


@dataclass(frozen=True, slots=True)
class Look:
    """The parts of planes of one size below some squares, and how places in those lie in them."""

    parts: Tensor
    """(n, P, h, w) float32, 0 to 255, on the host."""
    lines: list[tuple[Line, Line]]
    """For each square, places along the part, -1 to 1, across and down."""


def decimated(planes: Sequence[tuple[Tensor, ...]], squares: Sequence[Square]) -> list[Look]:
    """What is needed to see squares of planes.

    Args:
        planes: of each picture, those that are seen alike; uint8 (h, w), all of one size.
        squares: one per picture, in pixels of its planes.

    Returns:
        The pictures' parts in their order; neighbours of one size lie together. Where there are two
        pixels or more to one of the output, blocks are averaged.
    """
    spans = [_Span.of(square, planes[0][0].shape) for square in squares]
    starts = [n for n in range(1, len(spans)) if spans[n].size != spans[n - 1].size]
    return [
        _part(planes[first:last], squares[first:last], spans[first:last])
        for first, last in pairwise([0, *starts, len(spans)])
    ]


class _Span(NamedTuple):
    """What is read of a plane for one square."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    block: int
    """Side of the blocks that are averaged."""

    @classmethod
    def of(cls, square: Square, shape: Sequence[int]) -> _Span:
        block = max(1, min(math.floor(square.scale), *shape))  # a strip may be thinner than one
        return cls(
            _reached(square.y, square.reach, block, shape[0]),
            _reached(square.x, square.reach, block, shape[1]),
            block,
        )

    @property
    def size(self) -> tuple[int, int, int]:
        """Parts of the same one go together."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0], self.block

    @property
    def skip(self) -> int:
        """Far too many pixels are thinned out first: only detection looks so coarsely."""
        return self.block // 2 if self.block >= COARSE else 1


def _part(
    planes: Sequence[tuple[Tensor, ...]], squares: Sequence[Square], spans: Sequence[_Span]
) -> Look:
    (high, wide, block), skip = spans[0].size, spans[0].skip
    size = -(-high // skip), -(-wide // skip)
    seen = [
        _thinned(plane, span, size, skip)
        for its, span in zip(planes, spans, strict=True)
        for plane in its
    ]
    stacked = torch.stack(seen)
    parts = _averaged(stacked, block // skip) if block > skip else stacked.float()
    rows, columns = parts.shape[1:]
    shift = (block // skip - 1) / 2 * skip
    block = block // skip * skip
    per_x, per_y = 2 / block / max(columns - 1, 1), 2 / block / max(rows - 1, 1)
    lines: list[tuple[Line, Line]] = []
    for square, span in zip(squares, spans, strict=True):
        x, y = square.x - span.columns[0] - shift, square.y - span.rows[0] - shift
        lines.append(
            (
                (square.right * per_x, x * per_x - 1, -square.down * per_x),
                (square.down * per_y, y * per_y - 1, square.right * per_y),
            )
        )
    return Look(parts.view(len(spans), -1, rows, columns), lines)


def _thinned(plane: Tensor, span: _Span, size: tuple[int, int], skip: int) -> Tensor:
    """What a span holds of a plane, one sample of `skip` along each axis, in one step."""
    row, column = plane.stride()
    return plane.as_strided(
        size,
        (row * skip, column * skip),
        plane.storage_offset() + span.rows[0] * row + span.columns[0] * column,
    )


def _averaged(planes: Tensor, block: int) -> Tensor:
    """(P, h, w) uint8 to float32 means of whole blocks.

    Rows first, in short integers that lie side by side: five times quicker than avg_pool2d.
    """
    high, wide = (size // block * block for size in planes.shape[1:])
    whole = planes.numpy()[:, :high, :wide]
    rows = whole[:, ::block].astype(np.int16)
    for n in range(1, block):
        rows += whole[:, n::block]
    total = rows[:, :, ::block].copy()
    for n in range(1, block):
        total += rows[:, :, n::block]
    return torch.from_numpy(total.astype(np.float32) * np.float32(1 / block**2))


def _reached(centre: float, reach: float, block: int, size: int) -> tuple[int, int]:
    """First and last+1 pixel that are needed, inside the plane and at least one block long."""
    first = max(0, min(math.floor(centre - reach) - block, size - block))
    last = max(first + block, min(math.ceil(centre + reach) + 1 + block, size))
    return first, last
