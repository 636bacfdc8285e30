"""The pictures inside regions, straight from the planes, as the face networks look at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces.decimate import Look, Square, decimated
from pipeline.planes import rgb_of
from pipeline.types import Color, Frame


def cut_out(
    frames: Sequence[Frame],
    regions: Tensor | list[list[float]],
    side: int,
    color: Color,
    outside: Literal["edge", "black"] = "edge",
) -> Tensor:
    """The pictures inside regions, straight from the planes.

    Made on the host, where the planes are. Only their parts below each region are read; RGB exists
    at the size of the output alone.

    Args:
        frames: one per region, all of one size.
        regions: (N, 4) on the host, see `pipeline.faces.roi`.

    Returns:
        (N, 3, side, side) float32, RGB from 0 to 1, channels last in memory.
    """
    numbers = regions if isinstance(regions, list) else regions.tolist()
    squares = [
        Square(cx, cy, size * math.cos(angle), size * math.sin(angle), size / side)
        for cx, cy, size, angle in numbers
    ]
    lumas = [(frame.y,) for frame in frames]
    chromas = [(frame.u, frame.v) for frame in frames]
    looks = [
        *decimated(lumas, squares),
        *decimated(chromas, [square.chroma() for square in squares]),
    ]
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


@lru_cache(maxsize=8)
def _conversion(color: Color) -> tuple[Tensor, Tensor]:
    """(3, 3) and (3, 1) that turn Y, U, V from 0 to 255 into R, G, B from 0 to 1."""
    y, u, v = torch.cat([torch.zeros(3, 1), torch.eye(3)], dim=1).unsqueeze(1)
    corners = rgb_of(y, u, v, color)[:, 0] / 255
    return (corners[:, 1:] - corners[:, :1]), corners[:, :1]


def _sampled(looks: Sequence[Look], side: int) -> Tensor:
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


def _inside(frames: Sequence[Frame], regions: list[list[float]], side: int) -> Tensor:
    """(N, 1, side, side) True where upright regions show their frames; on the host."""
    cx, cy, size = np.array(regions, np.float32)[:, :3, None].swapaxes(0, 1)
    x, y = _steps(side) * size + cx, _steps(side) * size + cy
    columns = (x >= 0) & (x < frames[0].width)
    rows = (y >= 0) & (y < frames[0].height)
    return torch.from_numpy((columns[:, None] & rows[:, :, None])[:, None])
