"""Squares around faces, turned upright: where they are, and the pictures inside them.

A region is (cx, cy, size, angle): centre and side in pixels of the frame, radians by which the
face leans (clockwise on screen). Place (i, j) of a picture of S pixels is the frame's
`centre + R(angle) · ((i, j) / S - 1/2) · size`, with pixel centres at whole numbers on both sides,
as MediaPipe does it (`ImageToTensorCalculator`), so that its networks see what they know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engines.planes import rgb_of
from pipeline.types import Color, Frame

ENLARGE = 1.5
"""A region's side over the longer side of the box that it is made for."""
COARSE = 4
"""Pixels to one of the output from which on only a part of them is read."""
Line = tuple[float, float, float]
"""Places by column of a square, in its middle, by row."""
EYES = (33, 263)
"""Outer corners, which show how a face leans."""


def region_of_points(points: Tensor) -> Tensor:
    """(N, 478, 2 or 3) points on the host to (N, 4) regions."""
    places = points.numpy()
    return torch.from_numpy(region_of_bounds(places, *bounds(places)))


def bounds(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 2) least and (N, 2) greatest x and y of (N, 478, 2 or 3) points."""
    lines = np.ascontiguousarray(points[..., :2].swapaxes(1, 2))
    return lines.min(2), lines.max(2)


def region_of_bounds(
    points: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, 4) regions of points whose bounds are known."""
    across = points[:, EYES[1], :2] - points[:, EYES[0], :2]
    # torch's, as numpy's arc tangents differ in their last bit between processors.
    angle = torch.atan2(*torch.from_numpy(across.T.copy()).flip(0)).numpy()
    size = (high - low).max(1) * np.float32(ENLARGE)
    return np.concatenate([(low + high) / 2, size[:, None], angle[:, None]], axis=1)


def region_of_box(boxes: Tensor, first_eye: Tensor, second_eye: Tensor) -> Tensor:
    """(N, 4) boxes x0 y0 x1 y1, and (N, 2) eyes, left on screen first, to (N, 4) regions."""
    across = second_eye - first_eye
    angle = torch.atan2(across[:, 1], across[:, 0])
    size = (boxes[:, 2:] - boxes[:, :2]).amax(1) * ENLARGE
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return torch.cat([centre, size[:, None], angle[:, None]], dim=1)


def to_frame(places: Tensor, regions: Tensor) -> Tensor:
    """Carry places in region pictures to the frame.

    Args:
        places: (N, P, 2 or 3), as shares of the picture's side; a third coordinate is a depth.
        regions: (N, 4).

    Returns:
        (N, P, 2 or 3) pixels of the frame.
    """
    size, angle = regions[:, 2, None, None], regions[:, 3]
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, sin, -sin, cos], dim=1).view(-1, 2, 2)  # transposed
    flat = ((places[..., :2] - 0.5) * size) @ turn + regions[:, None, :2]
    return torch.cat([flat, places[..., 2:] * size], dim=2)


def cut_out(
    frames: Sequence[Frame],
    regions: Tensor | list[list[float]],
    side: int,
    color: Color,
    outside: Literal["edge", "black"] = "edge",
) -> Tensor:
    """The pictures inside regions, straight from the planes.

    Made on the host, where the planes are. Only their parts below each region
    are read; RGB exists at the size of the output alone.

    Args:
        frames: one per region, all of one size.
        regions: (N, 4) on the host.
        side: of the output.
        color: how the planes are to be read.
        outside: what is seen beyond the frame.

    Returns:
        (N, 3, side, side) float32, RGB from 0 to 1, channels last in memory.
    """
    numbers = regions if isinstance(regions, list) else regions.tolist()
    squares = [
        _Square(cx, cy, size * math.cos(angle), size * math.sin(angle), size / side)
        for cx, cy, size, angle in numbers
    ]
    lumas = [(frame.y,) for frame in frames]
    chromas = [(frame.u, frame.v) for frame in frames]
    looks = [*_looked(lumas, squares), *_looked(chromas, [square.chroma() for square in squares])]
    samples = _sampled(looks, side)
    matrix, offset = _conversion(color)
    pictures = (matrix @ samples.flatten(2)).add_(offset).clamp_(0, 1).view_as(samples)
    if outside == "black":
        pictures *= _inside(frames, numbers, side)
    return pictures


@lru_cache(maxsize=8)
def _steps(side: int) -> NDArray[np.float32]:
    """(side,) places of columns, or rows, in a square: shares of its side from its middle."""
    return np.arange(side, dtype=np.float32) / np.float32(side) - np.float32(0.5)


class _Square(NamedTuple):
    """A region on one plane: centre, the vector along its upper edge, plane pixels per output's."""

    x: float
    y: float
    right: float
    down: float
    scale: float

    def chroma(self) -> _Square:
        """The same on a chroma plane, whose samples sit on the left luma column of each pair,
        between its two rows (H.264 annex E, chroma_sample_loc_type 0)."""
        return _Square(
            self.x / 2, (self.y - 0.5) / 2, self.right / 2, self.down / 2, self.scale / 2
        )

    @property
    def reach(self) -> float:
        """Half the side of the upright box around it."""
        return (abs(self.right) + abs(self.down)) / 2


@lru_cache(maxsize=8)
def _conversion(color: Color) -> tuple[Tensor, Tensor]:
    """(3, 3) and (3, 1) that turn Y, U, V from 0 to 255 into R, G, B from 0 to 1."""
    y, u, v = torch.cat([torch.zeros(3, 1), torch.eye(3)], dim=1).unsqueeze(1)
    corners = rgb_of(y, u, v, color)[:, 0] / 255
    return (corners[:, 1:] - corners[:, :1]), corners[:, :1]


@dataclass(frozen=True, slots=True)
class _Look:
    """The parts of planes of one size below some squares, and how places in those lie in them."""

    parts: Tensor
    """(n, P, h, w) float32, 0 to 255, on the host."""
    lines: list[tuple[Line, Line]]
    """For each square, places along the part, -1 to 1, across and down."""


def _looked(planes: Sequence[tuple[Tensor, ...]], squares: Sequence[_Square]) -> list[_Look]:
    """What is needed to see a square of each picture's planes; what is of one size lies together.

    Where there are two pixels or more to one of the output, they are averaged in blocks first, so
    that nothing is skipped.
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
    def of(cls, square: _Square, shape: Sequence[int]) -> _Span:
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
    planes: Sequence[tuple[Tensor, ...]], squares: Sequence[_Square], spans: Sequence[_Span]
) -> _Look:
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
    return _Look(parts.view(len(spans), -1, rows, columns), lines)


def _thinned(plane: Tensor, span: _Span, size: tuple[int, int], skip: int) -> Tensor:
    """What a span holds of a plane, one sample of `skip` along each axis, in one step."""
    row, column = plane.stride()
    return plane.as_strided(
        size,
        (row * skip, column * skip),
        plane.storage_offset() + span.rows[0] * row + span.columns[0] * column,
    )


def _sampled(looks: Sequence[_Look], side: int) -> Tensor:
    """Values inside squares, (N, 3, side, side) float32, 0 to 255, of lumas and then of chromas."""
    # grid_sample wants -1..1 from the first pixel's centre to the last's. As complex numbers they
    # are the sums of a row and a column, side by side in memory: five times quicker than a matrix
    # product or affine_grid.
    lines = np.array([line for look in looks for line in look.lines], np.float32)
    by_column, middle, by_row = np.moveaxis(lines[..., None], 2, 0)  # (2 N, 2, 1) each
    steps = _steps(side)
    row, column = _complex(steps * by_column + middle), _complex(steps * by_row)
    grids = torch.view_as_real(row[:, None] + column[..., None])
    found = [
        F.grid_sample(look.parts, grid, "bilinear", "border", align_corners=True)
        for look, grid in zip(
            looks, torch.split(grids, [len(look.lines) for look in looks]), strict=True
        )
    ]
    lumas, chromas = ([part for part in found if part.shape[1] == planes] for planes in (1, 2))
    return torch.cat([torch.cat(lumas), torch.cat(chromas)], dim=1)


def _complex(places: NDArray[np.float32]) -> Tensor:
    """(N, 2, side) x and y as (N, side) complex numbers."""
    return torch.view_as_complex(torch.from_numpy(np.ascontiguousarray(places.swapaxes(1, 2))))


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


def _inside(frames: Sequence[Frame], regions: list[list[float]], side: int) -> Tensor:
    """(N, 1, side, side) True where upright regions show their frames; on the host."""
    cx, cy, size = np.array(regions, np.float32)[:, :3, None].swapaxes(0, 1)
    x, y = _steps(side) * size + cx, _steps(side) * size + cy
    columns = (x >= 0) & (x < frames[0].width)
    rows = (y >= 0) & (y < frames[0].height)
    return torch.from_numpy((columns[:, None] & rows[:, :, None])[:, None])


def _reached(centre: float, reach: float, block: int, size: int) -> tuple[int, int]:
    """First and last+1 pixel that are needed, inside the plane and at least one block long."""
    first = max(0, min(math.floor(centre - reach) - block, size - block))
    last = max(first + block, min(math.ceil(centre + reach) + 1 + block, size))
    return first, last
