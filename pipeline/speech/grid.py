"""The 100 Hz grid that all curves of a speech share, and smoothing on it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

RATE = 16_000
"""Samples per second of the speech."""
HOP = 160
STEP_RATE = 100
"""Steps per second."""


def steps(samples: int) -> int:
    """How many steps a sound of so many samples has: one at its start, one every 10 ms, never 0."""
    return samples // HOP + 1


BLOCK = 6000
"""Steps of a curve that are worked on together: a minute, so that an hour takes no more room."""


def gaussian(curves: Tensor, sigma_s: float) -> Tensor:
    """Smooth along the last axis; the ends are held.

    Long curves are smoothed in blocks that overlap by the kernel's reach.

    Args:
        curves: (..., T) float.
        sigma_s: standard deviation, seconds.

    Returns:
        (..., T).
    """
    sigma = sigma_s * STEP_RATE
    radius = max(1, math.ceil(3 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=curves.dtype)
    kernel = torch.exp(-0.5 * (at / sigma).square())
    kernel = kernel / kernel.sum()
    rows = curves.reshape(-1, 1, curves.shape[-1])
    total = rows.shape[-1]
    smooth = torch.empty_like(rows)
    for start in range(0, total, BLOCK):
        stop = min(start + BLOCK, total)
        first, last = max(0, start - radius), min(total, stop + radius)
        held = (radius - (start - first), radius - (last - stop))
        padded = F.pad(rows[..., first:last], held, mode="replicate")
        smooth[..., start:stop] = F.conv1d(padded, kernel[None, None])
    return smooth.reshape(curves.shape)


def at_times(curves: Tensor, times: Tensor) -> Tensor:
    """Linear interpolation of curves at instants; beyond the ends the end values hold.

    Args:
        curves: (..., T).
        times: (F,) seconds, float64.

    Returns:
        (..., F).
    """
    place = (times * STEP_RATE).clamp(0, curves.shape[-1] - 1)
    left = place.floor().long()
    right = (left + 1).clamp(max=curves.shape[-1] - 1)
    share = (place - left).to(curves.dtype)
    return curves[..., left] * (1 - share) + curves[..., right] * share
