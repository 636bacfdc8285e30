"""How much of a painted mouth each output frame shows: none without a usable face, and fades."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

MIN_FILTER = 5
SIGMA, REACH = 1.2, 4
"""Output frames: of the smoothing, and as far as it reaches."""
YAW_FULL, YAW_NONE = 35.0, 40.0
"""Degrees between which a turning face loses the painted mouth."""


def strength(usable: Tensor, yaw: Tensor, shot: Tensor) -> Tensor:
    """(F,) 0 … 1 by output frame. At a cut nothing fades: what comes after it is another picture.

    Args:
        usable: (F,) bool, whether the frame under each output shows a usable face.
        yaw: (F,) degrees.
        shot: (F,) int64, of neighbours the same number where no cut is between them.

    Returns:
        Exactly 0 where no face is usable; 1 from a few frames away on, and from cuts on.
    """
    turned = ((YAW_NONE - yaw.abs()) / (YAW_NONE - YAW_FULL)).clamp(0, 1)
    seen = torch.where(usable, turned, torch.zeros_like(turned))
    low = torch.where(*_around(seen, shot, MIN_FILTER // 2), 1.0).amin(1)
    same, near = _around(low, shot, REACH)
    at = torch.arange(-REACH, REACH + 1, dtype=seen.dtype)
    weight = torch.exp(-0.5 * (at / SIGMA) ** 2) * same
    smooth = 1 - (weight * (1 - near)).sum(1) / weight.sum(1)
    return torch.where(seen > 0, smooth.clamp(0, 1), torch.zeros_like(smooth))


def _around(values: Tensor, shot: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """(F, 2 reach + 1) bool, which of the frames around each one are of its shot, and their values.

    Before the first frame and after the last one, those frames themselves.
    """
    steps = torch.arange(-reach, reach + 1)
    near = (torch.arange(len(values)).unsqueeze(1) + steps).clamp(0, len(values) - 1)
    step = F.pad((shot.diff() != 0).to(torch.int64), (1, 0)).cumsum(0)
    return step[near] == step.unsqueeze(1), values[near]
