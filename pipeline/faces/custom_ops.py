"""The three custom operations of the attention mesh, batched.

They cut a square around the lips or an eye out of an inner feature map, turned upright, and carry
the refined points back. Source: MediaPipe, `util/tflite/operations`, version 2 of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor


def landmarks_to_matrix(attributes: dict[str, Any], device: str) -> Callable[[Tensor], Tensor]:
    """From (N, P, 3) points to the (N, 4, 4) affine map of the cut-out onto the feature map."""
    left, right = attributes["left_rotation_idx"], attributes["right_rotation_idx"]
    subset = torch.tensor(attributes["subset_idxs"], device=device)
    target = float(attributes["target_rotation_radians"])
    wide, high = attributes["output_width"], attributes["output_height"]
    scale = torch.tensor(
        [attributes["scale_x"] / wide, attributes["scale_y"] / high], device=device
    )
    middle = torch.tensor([wide / 2, high / 2], device=device)

    def run(points: Tensor) -> Tensor:
        across = points[:, right, :2] - points[:, left, :2]
        turn = target - torch.atan2(across[:, 1], across[:, 0])
        cos, sin = turn.cos(), turn.sin()
        upright = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
        turned = points[:, subset, :2] @ upright.transpose(1, 2)
        low, top = turned.amin(1), turned.amax(1)
        centre = (upright.transpose(1, 2) @ ((low + top) / 2).unsqueeze(2)).squeeze(2)
        matrix = points.new_zeros(len(points), 4, 4)
        linear = upright.transpose(1, 2) * ((top - low) * scale).unsqueeze(1)
        matrix[:, :2, :2] = linear
        matrix[:, :2, 3] = centre - (linear @ middle)
        matrix[:, 2, 2] = matrix[:, 3, 3] = 1.0
        return matrix

    return run


def transform_bilinear(
    attributes: dict[str, Any], device: str
) -> Callable[[Tensor, Tensor], Tensor]:
    """Cut (N, C, h, w) out of (N, C, H, W) by a matrix; outside the map is zero."""
    wide, high = attributes["output_width"], attributes["output_height"]
    y, x = torch.meshgrid(
        torch.arange(high, device=device) + 0.5,
        torch.arange(wide, device=device) + 0.5,
        indexing="ij",
    )
    places = torch.stack([x, y], dim=2).view(1, -1, 2)
    corners: dict[tuple[int, int], Tensor] = {}

    def run(features: Tensor, matrix: Tensor) -> Tensor:
        rows, columns = features.shape[2:]
        at = torch.baddbmm(
            matrix[:, None, :2, 3], places.expand(len(matrix), -1, -1), _turn(matrix)
        )
        if (rows, columns) not in corners:  # made once: a captured graph may copy nothing in
            corners[rows, columns] = at.new_tensor([columns - 1, rows - 1])
        last = corners[rows, columns]
        at = at - 0.5
        inside = ((at >= 0) & (at <= last)).all(dim=2).view(-1, 1, high, wide)
        grid = (at * (2 / last) - 1).view(-1, high, wide, 2)
        cut = F.grid_sample(features, grid, "bilinear", "border", align_corners=True)
        return cut * inside

    return run


def transform_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Carry (N, P, 2) points by (N, 4, 4) matrices."""
    return torch.baddbmm(matrix[:, None, :2, 3], points, _turn(matrix))


def _turn(matrix: Tensor) -> Tensor:
    return matrix[:, :2, :2].transpose(1, 2)
