"""Regions of a face from its mesh: what a face parser would say, without one.

Of the parser's classes the mask rule uses skin, nose, mouth and lips. Their outlines run along
known points of the 478-point mesh, so the map is drawn instead of guessed: it cannot flicker by
itself, and hair or a hand never enters it by mistake of a classifier.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.faces.topology import LIPS_OUTER_LOWER, LIPS_OUTER_UPPER

# Outlines in order around the region; points of MediaPipe's face mesh.
# fmt: off
FACE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
NOSE_OUTLINE = (
    168, 417, 465, 412, 399, 437, 355, 429, 279, 358, 327, 326,
    2, 97, 98, 129, 49, 209, 126, 217, 174, 188, 245, 193,
)
# fmt: on
LIPS = (*LIPS_OUTER_LOWER[:-1], *reversed(LIPS_OUTER_UPPER[1:]))


def polygon(points: Tensor, side: int) -> Tensor:
    """Fill a polygon, even-odd: pixels whose centre lies inside.

    For every row the crossings of the edges are counted per column; the running sum of a row is
    odd inside. No loop over rows or edges, so it runs on any device.

    Args:
        points: (..., N, 2) corners in order, (x, y).

    Returns:
        (..., side, side) bool.
    """
    ax, ay = points.unsqueeze(-3).unbind(-1)
    bx, by = points.roll(-1, -2).unsqueeze(-3).unbind(-1)
    rows = torch.arange(side, dtype=points.dtype, device=points.device).unsqueeze(1)
    crosses = (ay <= rows) != (by <= rows)  # (..., side, N)
    slope = (bx - ax) / torch.where(by == ay, torch.ones_like(by), by - ay)
    column = torch.ceil(ax + (rows - ay) * slope).clamp(0, side).long()
    shape = (*column.shape[:-1], side + 1)
    count = torch.zeros(shape, dtype=torch.int32, device=points.device)
    count.scatter_add_(-1, column, crosses.to(torch.int32))
    return count[..., :side].cumsum(-1, dtype=torch.int16) % 2 == 1
