"""Curves of a mouth, sampled for the frames of an output."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import torch
from torch import Tensor

from pipeline.speech.closures import holds
from pipeline.speech.grid import STEP_RATE, at_times
from pipeline.speech.mouth import MouthCurve

LEAD = Fraction(30, 1000)
"""Seconds that the lips are ahead of the sound: they move before it is heard."""
_CLOSED_BELOW = 0.02


@dataclass(frozen=True, slots=True)
class MouthTargets:
    """The mouth of each output frame in shares of a person's range. All are (F,)."""

    openness: Tensor
    """0 to 1; a closure that touches the frame's interval holds for all of it."""
    width: Tensor
    """-1 to 1."""
    jaw: Tensor
    """0 to 1."""
    closed: Tensor
    """bool: the lips must touch."""
    activity: Tensor
    """0 to 1."""
    rest: Tensor
    """0 in speech to 1 where the mouth has its resting shape."""


def sample(curve: MouthCurve, fps: Fraction, frames: int) -> MouthTargets:
    """The mouth of each output frame, at exact times; frame n stands for [n, n + 1) / fps.

    Curves are read in the middle of the frame's interval, and a closure that touches the interval
    holds for the whole frame, so that no closure falls between two frames. The ways into a closure
    and out of it are read like the rest: the least of them would shut the frames beside it too.
    """
    middles = [float((n + Fraction(1, 2)) / fps + LEAD) for n in range(frames)]
    times = torch.tensor(middles, dtype=torch.float64)
    stacked = torch.stack(
        [curve.capped, curve.width, curve.jaw, curve.activity, curve.rest],
    )
    openness, width, jaw, active, rest = at_times(stacked, times)
    held = least(holds(curve.closures, curve.openness.numel()), fps, frames)
    return MouthTargets(
        openness=torch.minimum(openness, held),
        width=width,
        jaw=jaw,
        closed=held < _CLOSED_BELOW,
        activity=active,
        rest=rest,
    )


def least(curve: Tensor, fps: Fraction, frames: int) -> Tensor:
    """The least value of a curve over each frame's interval, (F,)."""
    total = curve.numel()
    out = torch.empty(frames, dtype=curve.dtype)
    for n in range(frames):
        first = ceil((n / fps + LEAD) * STEP_RATE)
        last = max(first, floor(((n + 1) / fps + LEAD) * STEP_RATE))
        first, last = min(first, total - 1), min(last, total - 1)
        out[n] = curve[first : last + 1].min()
    return out
