"""How much of a painted mouth each output frame shows: none without a usable face, and fades."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

MIN_FILTER = 5
SIGMA = 1.2
"""Output frames."""
YAW_FULL, YAW_NONE = 35.0, 40.0
"""Degrees between which a turning face loses the painted mouth."""


def strength(usable: Tensor, yaw: Tensor) -> Tensor:
    """(F,) 0 … 1 by output frame.

    Args:
        usable: (F,) bool, whether the frame under each output shows a usable face.
        yaw: (F,) degrees.

    Returns:
        Exactly 0 where no face is usable; 1 from a few frames away on.
    """
    turned = ((YAW_NONE - yaw.abs()) / (YAW_NONE - YAW_FULL)).clamp(0, 1)
    seen = torch.where(usable, turned, torch.zeros_like(turned))
    half = MIN_FILTER // 2
    padded = F.pad(seen[None, None], (half, half), mode="replicate")
    low = -F.max_pool1d(-padded, MIN_FILTER, 1)
    reach = 4
    at = torch.arange(-reach, reach + 1, dtype=seen.dtype)
    kernel = torch.exp(-0.5 * (at / SIGMA) ** 2)
    smooth = F.conv1d(
        F.pad(low, (reach, reach), mode="replicate"), (kernel / kernel.sum())[None, None]
    )[0, 0]
    return torch.where(seen > 0, smooth.clamp(0, 1), torch.zeros_like(smooth))
