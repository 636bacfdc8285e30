"""Where each sample of the region comes from: the fields of the lips and of the skin around them.

Two splines per mouth, one for all that hangs on the upper lip and one for all that hangs on the
lower, are switched hard at the line between the lips. A soft blend of the two would read teeth
where the lips are closed. Anchors on the region's border do not move: there is no seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engines.viseme import spline
from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.canvas import NODES, Area, Canvas
from pipeline.engines.viseme.heads import similarity
from pipeline.engines.viseme.picked import index, picked
from pipeline.engines.viseme.points import (
    BELOW,
    BESIDE,
    CHEEKS,
    JAW,
    LOWER_RINGS,
    NOSE_BASE,
    PHILTRUM,
    PLACE,
    UPPER_RINGS,
    places,
)
from pipeline.engines.windows import brought
from pipeline.faces.topology import (
    EYE_CORNERS_OUTER,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_SECOND_LOWER,
    LIPS_SECOND_UPPER,
    LIPS_THIRD_LOWER,
    LIPS_THIRD_UPPER,
)

BORDER = 5
"""Anchors along each side of the region, corners included."""
TUCK = 0.8
"""How far a closing mouth's inner contour is read from inside the lip: towards the next contour."""

TUCK_LEAST = 0.022
"""At least so far, io: the mesh may be that much off."""
TUCK_MOST = 0.85
"""At most so far towards the contour after that."""

_UPPER = places(*UPPER_RINGS, NOSE_BASE, PHILTRUM, CHEEKS, BESIDE)
_LOWER = places(*LOWER_RINGS, BELOW, BESIDE, CHEEKS, JAW)
_SKIN = places(NOSE_BASE, CHEEKS, BESIDE, BELOW, JAW)
_RIGID = places(NOSE_BASE, CHEEKS)
_IN_UP, _IN_LOW = [PLACE[p] for p in LIPS_INNER_UPPER], [PLACE[p] for p in LIPS_INNER_LOWER]
_MID_UP, _MID_LOW = [PLACE[p] for p in LIPS_SECOND_UPPER], [PLACE[p] for p in LIPS_SECOND_LOWER]
_EYE_LEFT, _EYE_RIGHT = (PLACE[p] for p in EYE_CORNERS_OUTER)
_NEXT_UP, _NEXT_LOW = [PLACE[p] for p in LIPS_THIRD_UPPER], [PLACE[p] for p in LIPS_THIRD_LOWER]


@dataclass(frozen=True, slots=True)
class MouthFields:
    """How a source's mouth is laid into an area: places in the source's piece, at the nodes."""

    upper: Tensor
    """(B, NODES, NODES, 2) luma coordinates, for what hangs on the upper lip."""
    lower: Tensor


@dataclass(frozen=True, slots=True)
class Base(Batch):
    """Similarities from the region to the source's piece."""

    turn: Tensor
    """(B, 2, 2)."""
    shift: Tensor
    """(B, 2)."""

    def __call__(self, points: Tensor) -> Tensor:
        """(B or 1, n, 2) to (B, n, 2)."""
        return points @ self.turn.transpose(1, 2) + self.shift[:, None]

    def size(self) -> Tensor:
        """(B,) pixels of the piece per pixel of the region."""
        return self.turn.det().abs().sqrt()


def mouth_fields(
    canvas: Canvas, area: Area, wanted: Tensor, source: Tensor, closing: Tensor, base: Base
) -> MouthFields:
    """Fields that bring a source's lips and skin to where they are wanted.

    Args:
        wanted: (B, K, 2) points in the region.
        source: (B, K, 2) the same points in the source's piece.
        closing: (B,) 0 to 1, how much of the source's opening vanishes; on the host.
        base: from the region to the piece, far from the mouth: `at_rest` or `carried`.
    """
    tucked = tuck(source, closing)
    return MouthFields(
        _field(canvas, area, wanted, tucked, base, _UPPER),
        _field(canvas, area, wanted, tucked, base, _LOWER),
    )


def skin_field(canvas: Canvas, wanted: Tensor, source: Tensor) -> Tensor:
    """The field (B, NODES, NODES, 2) that brings the frame's own chin and cheeks along."""
    return _field(canvas, canvas.whole, wanted, source, at_rest(wanted), _SKIN)


def tuck(source: Tensor, closing: Tensor) -> Tensor:
    """Points with the inner contours moved into the lips, where nothing but lip is seen.

    Args:
        source: (B, K, 2) pixels.
        closing: (B,) 0 to 1, how much of the opening vanishes; on the host.

    Returns:
        (B, K, 2).
    """
    moved = source.clone()
    share = brought(closing, source.device)[:, None, None]
    io = (source[:, _EYE_RIGHT] - source[:, _EYE_LEFT]).norm(dim=1)[:, None, None]
    for inner, near, far in ((_IN_UP, _NEXT_UP, _MID_UP), (_IN_LOW, _NEXT_LOW, _MID_LOW)):
        edge = picked(source, inner)
        way = picked(source, far) - edge
        whole = way.norm(dim=2, keepdim=True).clamp_min(1e-3)
        step = TUCK * (picked(source, near) - edge).norm(dim=2, keepdim=True)
        step = torch.minimum(step.maximum(TUCK_LEAST * io), TUCK_MOST * whole)
        tucked = edge + way * (step / whole) * share
        moved.index_copy_(1, index(tuple(inner), moved.device), tucked)
    return moved


def _field(
    canvas: Canvas, area: Area, wanted: Tensor, source: Tensor, base: Base, chosen: list[int]
) -> Tensor:
    at = picked(wanted, chosen)
    delta = picked(source, chosen) - base(at)
    border = _border(canvas.width, canvas.height, at.device)
    points = torch.cat([at, border.expand(len(at), -1, -1)], dim=1) / canvas.io
    values = torch.cat([delta, torch.zeros_like(border).expand(len(at), -1, -1)], dim=1)
    nodes = area.nodes.reshape(1, -1, 2)
    there = (nodes / canvas.io).expand(len(at), -1, -1)
    moved = base(nodes) + spline.evaluate(spline.fit(points, values), points, there)
    return moved.reshape(-1, NODES, NODES, 2)


@lru_cache(maxsize=64)
def _border(width: int, height: int, device: torch.device) -> Tensor:
    """(1, 4 (BORDER - 1), 2) anchors on a device; for good, so it is waited for."""
    xs = torch.linspace(0, width - 1, BORDER)
    ys = torch.linspace(0, height - 1, BORDER)
    top = torch.stack([xs, torch.zeros(BORDER)], 1)
    left = torch.stack([torch.zeros(BORDER - 2), ys[1:-1]], 1)
    bottom = top + torch.tensor([0.0, height - 1])
    right = left + torch.tensor([width - 1, 0.0])
    return torch.cat([top, bottom, left, right])[None].to(device)


def at_rest(like: Tensor) -> Base:
    """For a source that is the very frame under the output, (B, …): what is far stays."""
    turn = torch.eye(2, device=like.device).expand(len(like), 2, 2)
    return Base(turn, torch.zeros(len(like), 2, device=like.device))


def carried(wanted: Tensor, source: Tensor, device: torch.device) -> Base:
    """As the skull moved between (B, K, 2) points in the region and those in another's piece.

    Both are on the host: a GPU takes longer for what is so small, and is waited for.
    """
    scale, rotation, shift = similarity(wanted[:, _RIGID].double(), source[:, _RIGID].double())
    turn = (scale[:, None, None] * rotation).float()
    return Base(brought(turn, device), brought(shift.float(), device))
