"""Thin-plate splines in batches: fields that are known at some points, smooth between them.

Bookstein, "Principal Warps: Thin-Plate Splines and the Decomposition of Deformations", IEEE PAMI
11(6), 1989.
"""

from __future__ import annotations

import torch
from torch import Tensor

STIFFNESS = 1e-4
"""Added to the diagonal: evens out noise of neighbouring points."""


def fit(places: Tensor, values: Tensor) -> Tensor:
    """(B, K + 3, C) float64: splines that take values (B, K, C) at places (B, K, 2) of about 1."""
    batch, count, _ = places.shape
    at = places.double()
    kernel = _kernel(at, at)
    kernel.diagonal(dim1=1, dim2=2).add_(STIFFNESS)
    flat = torch.cat([torch.ones_like(at[..., :1]), at], dim=2)
    system = at.new_zeros(batch, count + 3, count + 3)
    system[:, :count, :count] = kernel
    system[:, :count, count:] = flat
    system[:, count:, :count] = flat.transpose(1, 2)
    right = at.new_zeros(batch, count + 3, values.shape[2])
    right[:, :count] = values.double()
    # On a GPU the look whether it can be solved is a wait; the stiffness sees to it that it can.
    solved: Tensor
    solved, _ = torch.linalg.solve_ex(system, right, check_errors=at.device.type == "cpu")
    return solved


def evaluate(coefficients: Tensor, places: Tensor, where: Tensor) -> Tensor:
    """Values of splines.

    Args:
        coefficients: (B, K + 3, C) from `fit`.
        places: (B, K, 2) as given to `fit`.
        where: (B, G, 2) points to evaluate at.

    Returns:
        (B, G, C) float32.
    """
    count = places.shape[1]
    c = coefficients.float()
    bent = _kernel(where.float(), places.float()) @ c[:, :count]
    return bent + c[:, count : count + 1] + where.float() @ c[:, count + 1 :]


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """r² log r² between all points: (B, len a, len b)."""
    lengths = (a * a).sum(2).unsqueeze(2) + (b * b).sum(2).unsqueeze(1)
    square = lengths.baddbmm_(a, b.transpose(1, 2), alpha=-2).clamp_min_(1e-12)
    return square.log().mul_(square)
