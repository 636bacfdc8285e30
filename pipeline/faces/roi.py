"""Squares around faces, turned upright: regions of interest, and places in them.

A region is (cx, cy, size, angle): centre and side in pixels of the frame, radians by which the
face leans (clockwise on screen). Place (i, j) of a picture of S pixels is the frame's
`centre + R(angle) · ((i, j) / S - 1/2) · size`, with pixel centres at whole numbers on both sides,
as MediaPipe does it (`ImageToTensorCalculator`), so that its networks see what they know.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces.topology import EYE_CORNERS_OUTER

ENLARGE = 1.5
"""A region's side over the longer side of the box that it is made for."""


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
    left, right = EYE_CORNERS_OUTER
    across = points[:, right, :2] - points[:, left, :2]
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
