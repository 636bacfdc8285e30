"""The soft masks of many faces at once, at one small size.

The rule of `mask` on each face's own mesh, but drawn in coordinates of its blending square, so that
faces of all sizes share every step: a hundred steps for a batch instead of for each face. A mask is
blurred over a twentieth of the square, so 128 samples across the box hold it; what `compose`
stretches to the box differs from the rule by less than one sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.neural.boxes import Box, blend_square
from pipeline.engines.neural.contour import FACE, LIPS, NOSE_OUTLINE, polygon
from pipeline.engines.neural.mask import (
    SIDE,
    UPPER_BOUNDARY,
    blur_width,
    gaussian_blur,
    grown_skin,
)
from pipeline.engines.windows import brought

MASK = 128
"""Side of a mask, samples, whatever the shape of its box."""
_SQUARE = SIDE // 2
"""Side of the blending square while it is blurred."""


def soft_masks(meshes: Tensor, boxes: Sequence[Box]) -> Tensor:
    """(B, 128, 128) uint8 inside boxes of faces: 0 keeps the frame, 255 takes what is painted."""
    squares = [blend_square(box) for box in boxes]
    device = meshes.device
    place = brought(torch.tensor([[s.x0, s.y0, s.height] for s in squares]), device).float()
    origin, side = place[:, None, :2], place[:, 2, None, None]
    # A pixel's centre lies at integer coordinates, and the square is cut at pixel edges.
    points = (meshes[..., :2].float() - origin + 0.5) * (SIDE / side) - 0.5
    hard = _chosen(points).float().mul_(255).unsqueeze(1)
    small = F.avg_pool2d(hard, 2)[:, 0].round().to(torch.uint8)
    edges = [_limits(box, square) for box, square in zip(boxes, squares, strict=True)]
    limits = brought(torch.tensor(edges), device)
    small = small * _within(limits * (_SQUARE / place[:, 2:]))
    soft = gaussian_blur(small, blur_width(_SQUARE))
    return _inside_box(soft, boxes, squares)


def _chosen(points: Tensor) -> Tensor:
    """(B, 512, 512) bool: grown skin without the nose, and the mouth."""
    face, nose, lips = (
        polygon(points.index_select(1, brought(torch.tensor(outline), points.device)), SIDE)
        for outline in (FACE, NOSE_OUTLINE, LIPS)
    )
    skin = grown_skin(face & ~nose & ~lips) & ~(nose & ~lips)
    return skin | lips


def _limits(box: Box, square: Box) -> list[float]:
    """Left, top, right, bottom of the box's lower part in the square's pixels."""
    top = max(int(square.height * UPPER_BOUNDARY), box.y0 - square.y0)
    return [
        float(box.x0 - square.x0),
        float(top),
        float(box.x1 - square.x0),
        float(box.y1 - square.y0),
    ]


def _within(limits: Tensor) -> Tensor:
    """(B, 256, 256) uint8 0/1: samples whose centres lie inside (B, 4) rectangles."""
    centre = torch.arange(_SQUARE, device=limits.device) + 0.5
    left, top, right, bottom = limits.unsqueeze(2).unbind(1)
    columns = (centre >= left) & (centre < right)
    rows = (centre >= top) & (centre < bottom)
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).to(torch.uint8)


def _inside_box(soft: Tensor, boxes: Sequence[Box], squares: Sequence[Box]) -> Tensor:
    """(B, 256, 256) masks of squares as (B, 128, 128) ones of their boxes."""
    maps = torch.tensor([_map(box, square) for box, square in zip(boxes, squares, strict=True)])
    # What `affine_grid` says by a matrix product, for which a GPU's library takes memory anew for
    # each pair of thread and stream, and keeps it. There is no turn: columns and rows will do.
    along = torch.linspace(-1, 1, MASK) * (MASK - 1) / MASK
    columns, rows = brought(along * maps[..., :1] + maps[..., 1:], soft.device).unbind(1)
    across, down = columns.unsqueeze(1).expand(-1, MASK, -1), rows.unsqueeze(2).expand(-1, -1, MASK)
    grid = torch.stack([across, down], dim=3)
    cut = F.grid_sample(soft.unsqueeze(1).float(), grid, "bilinear", align_corners=False)
    return cut[:, 0].round().to(torch.uint8)


def _map(box: Box, square: Box) -> list[list[float]]:
    """From a box's coordinates to its square's, both -1 to 1: factor and shift across and down."""
    x0, y0, x1, y1 = box
    left, top, _, bottom = square
    side = bottom - top
    return [
        [(x1 - x0) / side, (x0 + x1 - 2 * left) / side - 1.0],
        [(y1 - y0) / side, (y0 + y1 - 2 * top) / side - 1.0],
    ]
