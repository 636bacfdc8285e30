"""Steady turns of a head: a mouth from elsewhere hangs on the head's pose and shakes where it does.

A pose's place and size are measured by many points at once, and follow even the quick jerks of a
camera. How a head is turned is read from the mesh's depth, which from one frame to the next is
mostly noise; heads themselves turn slowly. So it is with the base of the nose, which tells better
than the skull where on a face a mouth belongs, but by five points: they shake, and lips that speak
pull them.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from pipeline.engines.viseme.heads import Heads, Skull
from pipeline.speech.grid import STEP_RATE, gaussian

COMPLEXION_S = 0.4
"""Standard deviation of the smoothing of complexions over time."""
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
    mean = _parabolas(rotation.double(), run)
    left, _, right = torch.linalg.svd(mean)
    turn = left @ right
    left[..., -1] *= torch.sign(torch.linalg.det(turn))[:, None]
    found: Tensor = left @ right
    return found.float()


def steady_slip(slip: Tensor, run: Tensor) -> Tensor:
    """The same for how far shapes follow the base of the nose, (N, 3) io."""
    return _parabolas(slip.double(), run).float()


def steady_complexion(complexion: Tensor, frames: Tensor, run: Tensor, fps: Fraction) -> Tensor:
    """The same without what lips and light do for a moment.

    Args:
        complexion: (N, D) of each frame; anything where there is no face.
        frames: (M,) indices of frames with one, ascending.
        run: (N,) int64, equal where frames follow each other unbroken.

    Returns:
        (N, D); 0 where there is no face.
    """
    out = torch.zeros_like(complexion)
    sigma = COMPLEXION_S * float(fps) / STEP_RATE
    for number in sorted(set(run[frames].tolist())):
        rows = frames[run[frames] == number]
        out[rows] = gaussian(complexion[rows].T.contiguous(), sigma).T
    return out


def turned(heads: Heads, rotation: Tensor, slip: Tensor, skull: Skull) -> Heads:
    """The same heads, their skulls at the same places, turned (B, 3, 3) and slipped (B, 3) io."""
    middle = skull.stable.mean(0)
    before = (heads.rotation @ (middle - heads.slip).unsqueeze(2))[..., 0]
    after = (rotation @ (middle - slip).unsqueeze(2))[..., 0]
    origin = heads.origin + heads.scale[:, None] * (before - after)
    return replace(heads, rotation=rotation, origin=origin, slip=slip)


def _parabolas(values: Tensor, run: Tensor) -> Tensor:
    """(N, ...) values, each that of the parabola through its neighbours of the same run."""
    total = len(values)
    steps = torch.arange(-REACH, REACH + 1)
    near = torch.arange(total).unsqueeze(1) + steps
    inside = (near >= 0) & (near < total)
    near = near.clamp(0, total - 1)
    inside &= run[near] == run.unsqueeze(1)
    powers = torch.stack([steps.double() ** n for n in range(3)], 1)
    weight = torch.linalg.pinv(powers * inside.unsqueeze(2))[:, 0]
    return torch.einsum("nk,nk...->n...", weight, values[near])
