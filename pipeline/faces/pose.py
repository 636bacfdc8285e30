"""How a head is turned, from its 3-D mesh alone.

A face is nearly symmetric, so the mean of many left-right differences is its own x axis, whatever
the person looks like; the line from forehead and temples to the cheeks gives the y axis. No camera
and no template is needed: the mesh's depth has the scale of its x and y (weak perspective).

Signs, for a picture with x to the right and y down:
    yaw    positive: the face looks towards the right edge of the picture
    pitch  positive: it looks down
    roll   positive: it leans clockwise on screen
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEFT = (33, 133, 130, 226, 127, 234, 116, 143, 35, 21, 54, 103, 67, 70, 46, 139, 162, 123, 227)
RIGHT = (
    *(263, 362, 359, 446, 356, 454, 345, 372, 265, 251, 284, 332, 297, 300, 276, 368, 389, 352),
    447,
)
"""Partners of `LEFT` on the other side of the face; no speech moves them."""
UPPER = (21, 54, 67, 251, 284, 297)
LOWER = (93, 50, 323, 280)
UPRIGHT_PITCH = 9.0
"""Degrees by which the line from `UPPER` to `LOWER` recedes in MediaPipe's canonical face, which
looks straight ahead."""


def angles(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Yaw, pitch and roll.

    Args:
        points: (N, 478, 3) pixels, depth on the same scale, smaller is nearer.

    Returns:
        three (N,) in degrees.
    """
    x = points[:, RIGHT].mean(1) - points[:, LEFT].mean(1)
    x = x / x.norm(dim=1, keepdim=True)
    y = points[:, LOWER].mean(1) - points[:, UPPER].mean(1)
    y = y - (y * x).sum(1, keepdim=True) * x
    y = y / y.norm(dim=1, keepdim=True)
    slope = math.radians(UPRIGHT_PITCH)
    ahead = -torch.linalg.cross(x, y) * math.cos(slope) - y * math.sin(slope)
    yaw = torch.atan2(ahead[:, 0], -ahead[:, 2])
    pitch = torch.atan2(ahead[:, 1], ahead[:, [0, 2]].norm(dim=1))
    roll = torch.atan2(x[:, 1], x[:, [0, 2]].norm(dim=1))
    return yaw.rad2deg(), pitch.rad2deg(), roll.rad2deg()
