"""Wav2Lip's face boxes over time."""

from __future__ import annotations

import torch
from torch import Tensor

SPAN = 5
"""Frames of the running mean."""


def smoothed(boxes: Tensor) -> Tensor:
    """Running mean over the frame and those after it; the last windows are all the last one.

    The original writes into the whole numbers that it still reads, which rounds every box down and
    lets the last ones creep; that is not done here.

    Args:
        boxes: (N, 4) of consecutive frames, N at least 1.

    Returns:
        (N, 4) float64.
    """
    x = boxes.to(torch.float64)
    if len(x) <= SPAN:
        return x.mean(dim=0, keepdim=True).expand_as(x).clone()
    mean = x.unfold(0, SPAN, 1).mean(dim=-1)
    return torch.cat([mean, mean[-1:].expand(SPAN - 1, -1)])
