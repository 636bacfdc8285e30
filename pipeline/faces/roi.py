"""Squares around faces, turned upright: where they are, and the pictures inside them.

A region is (cx, cy, size, angle): centre and side in pixels of the frame, radians by which the
face leans (clockwise on screen). Place (i, j) of a picture of S pixels is the frame's
`centre + R(angle) · ((i, j) / S - 1/2) · size`, with pixel centres at whole numbers on both sides,
as MediaPipe does it (`ImageToTensorCalculator`), so that its networks see what they know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.planes import rgb_of
from pipeline.types import Color, Frame

ENLARGE = 1.5
"""A region's side over the longer side of the box that it is made for."""
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
        (N, 3, side, side) float32, RGB from 0 to 1.
    """
    steps = torch.arange(side, dtype=torch.float32) / side - 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    share = torch.stack([x, y], dim=2).view(1, -1, 2) + 0.5
    at = to_frame(share.expand(len(frames), -1, -1), regions).view(-1, side, side, 2)
    pictures = torch.empty(len(frames), 3, side, side, device=device)
    for n, frame in enumerate(frames):
        scale = float(regions[n, 2]) / side
        luma = _sampled([frame.y], at[n], scale, device)
        # Chroma sits on the left luma column of each pair, between its two rows (H.264 annex E).
        half = (at[n] - at.new_tensor([0.0, 0.5])) / 2
        chroma = _sampled([frame.u, frame.v], half, scale / 2, device)
        pictures[n] = rgb_of(luma[0], chroma[0], chroma[1], color).mul_(1 / 255).clamp_(0, 1)
        if outside == "black":
            last = at.new_tensor([frame.width - 1, frame.height - 1])
            inside = ((at[n] >= 0) & (at[n] <= last)).all(dim=2)
            pictures[n] *= inside.to(device)
    return pictures


def _sampled(planes: Sequence[Tensor], at: Tensor, scale: float, device: str) -> Tensor:
    """Values of planes of one size at (S, S, 2) places: (P, S, S) float32, 0 to 255.

    `scale` is how many of the planes' pixels there are to one of the output: above 2, they are
    averaged in blocks first, so that nothing is skipped.
    """
    high, wide = planes[0].shape
    block = max(1, math.floor(scale))
    low, top = at.amin((0, 1)).floor(), at.amax((0, 1)).ceil()
    x0, y0 = (
        max(0, min(int(v) - block, n - block)) for v, n in zip(low, (wide, high), strict=True)
    )
    x1, y1 = (min(int(v) + 1 + block, n) for v, n in zip(top, (wide, high), strict=True))
    x1, y1 = max(x1, x0 + block), max(y1, y0 + block)
    part = torch.stack([plane[y0:y1, x0:x1] for plane in planes]).to(device).float().unsqueeze(0)
    at = at.to(device) - at.new_tensor([x0, y0]).to(device)
    if block > 1:
        part = F.avg_pool2d(part, block)
        at = (at - (block - 1) / 2) / block
    rows, columns = part.shape[2:]
    last = at.new_tensor([max(columns - 1, 1), max(rows - 1, 1)])
    grid = (at * (2 / last) - 1).unsqueeze(0)
    return F.grid_sample(part, grid, "bilinear", "border", align_corners=True)[0]
