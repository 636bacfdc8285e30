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
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.planes import rgb_of
from pipeline.types import Color, Frame

ENLARGE = 1.5
"""A region's side over the longer side of the box that it is made for."""
COARSE = 4
"""Pixels to one of the output from which on only a part of them is read."""
EYES = (33, 263)
"""Outer corners, which show how a face leans."""


def region_of_points(points: Tensor) -> Tensor:
    """(N, 478, 2 or 3) points to (N, 4) regions."""
    flat = points[..., :2]
    low, high = flat.amin(1), flat.amax(1)
    across = flat[:, EYES[1]] - flat[:, EYES[0]]
    angle = torch.atan2(across[:, 1], across[:, 0])
    size = (high - low).amax(1) * ENLARGE
    return torch.cat([(low + high) / 2, size[:, None], angle[:, None]], dim=1)


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
    regions: Tensor,
    side: int,
    color: Color,
    device: str = "cpu",
    outside: Literal["edge", "black"] = "edge",
) -> Tensor:
    """The pictures inside regions, straight from the planes.

    Only the planes' parts below each region are read; RGB exists at the size of the output alone.

    Args:
        frames: one per region.
        regions: (N, 4) on the host.
        side: of the output.
        color: how the planes are to be read.
        device: where the pictures are made.
        outside: what is seen beyond the frame.

    Returns:
        (N, 3, side, side) float32, RGB from 0 to 1, channels last in memory.
    """
    steps = torch.arange(side, dtype=torch.float32, device=device) / side - 0.5
    luma, chroma = [], []
    for frame, (cx, cy, size, angle) in zip(frames, regions.tolist(), strict=True):
        square = _Square(cx, cy, size * math.cos(angle), size * math.sin(angle), size / side)
        luma.append(_looked([frame.y], square))
        chroma.append(_looked([frame.u, frame.v], square.chroma()))
    samples = torch.cat([_sampled(luma, steps), _sampled(chroma, steps)], dim=1)
    matrix, offset = _conversion(color, device)
    pictures = (matrix @ samples.flatten(2)).add_(offset).clamp_(0, 1).view_as(samples)
    if outside == "black":
        for picture, frame, region in zip(pictures, frames, regions.tolist(), strict=True):
            picture *= _inside(frame, region, steps)
    return pictures


@dataclass(frozen=True, slots=True)
class _Square:
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
def _conversion(color: Color, device: str) -> tuple[Tensor, Tensor]:
    """(3, 3) and (3, 1) that turn Y, U, V from 0 to 255 into R, G, B from 0 to 1."""
    y, u, v = torch.cat([torch.zeros(3, 1), torch.eye(3)], dim=1).unsqueeze(1)
    corners = rgb_of(y, u, v, color)[:, 0] / 255
    return (corners[:, 1:] - corners[:, :1]).to(device), corners[:, :1].to(device)


@dataclass(frozen=True, slots=True)
class _Look:
    """The part of planes of one size below a square, and how places in the square lie in it."""

    part: Tensor
    """(1, P, h, w) float32, 0 to 255, on the host."""
    across: tuple[float, float, float]
    """Place along the part, -1 to 1: by column of the square, in its middle, by row."""
    down: tuple[float, float, float]


def _looked(planes: Sequence[Tensor], square: _Square) -> _Look:
    """What is needed of planes to see a square.

    Where there are two pixels or more to one of the output, they are averaged in blocks first, so
    that nothing is skipped.
    """
    high, wide = planes[0].shape
    block = max(1, math.floor(square.scale))
    x0, x1 = _span(square.x, square.reach, block, wide)
    y0, y1 = _span(square.y, square.reach, block, high)
    # Far too many pixels are thinned out first: only detection looks so coarsely.
    skip = block // 2 if block >= COARSE else 1
    part = torch.stack([_part(plane, (y0, y1), (x0, x1), skip) for plane in planes])
    block //= skip
    part = _averaged(part, block) if block > 1 else part.float()
    middle = (block - 1) / 2 * skip
    block *= skip
    rows, columns = part.shape[1:]
    per_x, per_y = 2 / block / max(columns - 1, 1), 2 / block / max(rows - 1, 1)
    x, y = square.x - x0 - middle, square.y - y0 - middle
    return _Look(
        part.unsqueeze(0),
        (square.right * per_x, x * per_x - 1, -square.down * per_x),
        (square.down * per_y, y * per_y - 1, square.right * per_y),
    )


def _part(plane: Tensor, rows: tuple[int, int], columns: tuple[int, int], skip: int) -> Tensor:
    """Every `skip`-th sample between, in one step."""
    row, column = plane.stride()
    return plane.as_strided(
        (-((rows[0] - rows[1]) // skip), -((columns[0] - columns[1]) // skip)),
        (row * skip, column * skip),
        plane.storage_offset() + rows[0] * row + columns[0] * column,
    )


def _sampled(looks: Sequence[_Look], steps: Tensor) -> Tensor:
    """Values inside squares: (N, P, side, side) float32, 0 to 255."""
    # grid_sample wants -1..1 from the first pixel's centre to the last's. Written as two sums of
    # a row and a column, which is several times quicker than a matrix product or affine_grid.
    lines = torch.tensor(
        [(look.across, look.down) for look in looks], dtype=steps.dtype, device=steps.device
    )
    by_column, middle, by_row = lines.unsqueeze(3).unbind(2)  # (N, 2, 1) each
    grids = steps.new_empty(len(looks), len(steps), len(steps), 2)
    torch.add(
        (steps * by_column + middle).unsqueeze(2),
        (steps * by_row).unsqueeze(3),
        out=grids.permute(0, 3, 1, 2),
    )
    return torch.cat(
        [
            F.grid_sample(
                look.part.to(steps.device), grid, "bilinear", "border", align_corners=True
            )
            for look, grid in zip(looks, torch.split(grids, 1), strict=True)
        ]
    )


def _averaged(planes: Tensor, block: int) -> Tensor:
    """(P, h, w) uint8 to float32 means of whole blocks.

    Rows first, in short integers that lie side by side: five times quicker than avg_pool2d.
    """
    high, wide = (size // block * block for size in planes.shape[1:])
    whole = planes[:, :high, :wide]
    rows = whole[:, ::block].to(torch.int16)
    for n in range(1, block):
        rows += whole[:, n::block]
    total = rows[:, :, ::block].clone()
    for n in range(1, block):
        total += rows[:, :, n::block]
    return total.float().mul_(1 / block**2)


def _inside(frame: Frame, region: list[float], steps: Tensor) -> Tensor:
    """(side, side) True where an upright region shows the frame."""
    cx, cy, size, _ = region
    x, y = steps * size + cx, steps * size + cy
    return ((x >= 0) & (x < frame.width)) & ((y >= 0) & (y < frame.height))[:, None]


def _span(centre: float, reach: float, block: int, size: int) -> tuple[int, int]:
    """First and last+1 pixel that are needed, inside the plane and at least one block long."""
    first = max(0, min(math.floor(centre - reach) - block, size - block))
    last = max(first + block, min(math.ceil(centre + reach) + 1 + block, size))
    return first, last
