"""Where a lent mouth replaces the frame's own: the lower face, with a soft edge inside it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engines.viseme.canvas import NODES, Area, Canvas
from pipeline.engines.viseme.picked import picked
from pipeline.engines.viseme.points import OUTLINE, PLACE
from pipeline.faces.topology import LIPS_OUTER_LOWER, LIPS_OUTER_UPPER

SHRINK = 0.93
FEATHER = 0.07
"""Width of the soft edge, io."""
LIP_MARGIN = 0.03
"""Around the lips, io: what the colour match leaves out."""
_OUTLINE = [PLACE[point] for point in OUTLINE]
_LIPS = [PLACE[point] for point in (*LIPS_OUTER_UPPER, *reversed(LIPS_OUTER_LOWER[1:-1]))]


def lower_face(canvas: Canvas, area: Area, points: Tensor) -> Tensor:
    """(B, NODES, NODES) 0 outside the lower face to 1 inside, by (B, K, 2) points in the region."""
    outline = picked(points, _OUTLINE)
    centre = outline.mean(1, keepdim=True)
    depth = inside(area.nodes, centre + SHRINK * (outline - centre))
    face = smooth(depth / (FEATHER * canvas.io))
    # Nothing reaches beyond the area, however the head is turned.
    ends = slice(None, None, NODES - 1)
    face[:, ends], face[:, :, ends] = 0.0, 0.0
    return face


def lips(canvas: Canvas, area: Area, points: Tensor) -> Tensor:
    """(B, NODES, NODES) 1 on the lips, 0 away from them."""
    depth = inside(area.nodes, picked(points, _LIPS))
    return smooth(1 + depth / (LIP_MARGIN * canvas.io))


def inside(where: Tensor, polygon: Tensor) -> Tensor:
    """(B, h, w) distances of (h, w, 2) to polygons (B, M, 2): positive inside, else negative."""
    x, y = where.unbind(2)
    ax, ay = polygon[:, :, None, None].unbind(4)
    by = ay.roll(-1, 1)
    along, rise = ax.roll(-1, 1) - ax, by - ay
    dx, dy = x - ax, y - ay
    share = (dx * along).addcmul_(dy, rise)
    share.div_((along.square() + rise.square()).clamp_min_(1e-6)).clamp_(0, 1)
    away = torch.addcmul(dx, share, along, value=-1).square_()
    away.add_(torch.addcmul(dy, share, rise, value=-1).square_())
    distance = away.amin(1).sqrt()
    crosses = (ay > y) != (by > y)
    steep = torch.where(rise.abs() < 1e-6, torch.full_like(rise, 1e-6), rise)
    odd = (crosses & (dx < dy * (along / steep))).sum(1) % 2 == 1
    return torch.where(odd, distance, -distance)


def smooth(x: Tensor) -> Tensor:
    """(…) shares: 0 below 0, 1 above 1, without a corner at either end."""
    t = x.clamp(0, 1)
    return t * t * (3 - 2 * t)


def bell(x: Tensor) -> Tensor:
    """exp(-x²) of (…) numbers: 1 at 0, nothing far away.

    Where it is far below what a float next to 1 can tell, it stops falling: numbers that are too
    small to be normal ones take a processor thirty times as long.
    """
    return torch.exp(-x.square().clamp_max(80.0))
