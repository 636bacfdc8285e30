"""Steady turns of a head: a mouth from elsewhere hangs on the head's pose and shakes where it does.

A pose's place and size are measured by many points at once, and follow even the quick jerks of a
camera. How a head is turned is read from the mesh's depth, which from one frame to the next is
mostly noise; heads themselves turn slowly.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.engines.viseme.heads import Heads, Skull

REACH = 3
"""Frames on either side that take part."""


def steady(rotation: Tensor, run: Tensor) -> Tensor:
    """Smooth turns over time by local parabolas, which keep speeding up and slowing down.

    Savitzky, Golay, "Smoothing and differentiation of data by simplified least squares procedures",
    Anal. Chem. 36(8), 1964.

    Args:
        rotation: (N, 3, 3), of each frame of a clip; anything where there is no face.
        run: (N,) int64, equal where frames follow each other unbroken.

    Returns:
        (N, 3, 3) rotations.
    """
    total = len(rotation)
    steps = torch.arange(-REACH, REACH + 1)
    near = torch.arange(total).unsqueeze(1) + steps
    inside = (near >= 0) & (near < total)
    near = near.clamp(0, total - 1)
    inside &= run[near] == run.unsqueeze(1)
    powers = torch.stack([steps.double() ** n for n in range(3)], 1)
    known = powers * inside.unsqueeze(2)
    weight = torch.linalg.pinv(known)[:, 0]
    mean = torch.einsum("nk,nkij->nij", weight, rotation.double()[near])
    left, _, right = torch.linalg.svd(mean)
    turn = left @ right
    left[..., -1] *= torch.sign(torch.linalg.det(turn))[:, None]
    found: Tensor = left @ right
    return found.float()


def turned(heads: Heads, rotation: Tensor, skull: Skull) -> Heads:
    """The same heads at the same places, turned otherwise: (B, 3, 3)."""
    middle = skull.stable.mean(0)
    slip = (heads.rotation - rotation) @ middle
    return replace(heads, rotation=rotation, origin=heads.origin + heads.scale[:, None] * slip)
