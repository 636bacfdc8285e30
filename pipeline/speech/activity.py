"""Where somebody speaks, and how loudly: from the level alone, in any language."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.runs import true_runs
from pipeline.speech.grid import STEP_RATE

SILENCE_S = 0.20
"""Shorter pauses keep the mouth in speech."""
_QUIET_DB = -60.0
"""Below this level nobody speaks, however quiet the rest."""
_NOTHING_DB = -85.0
"""Below this level there is nothing but the rounding of samples."""
_USUAL_DB = -20.0
"""Level of the loud parts of a usual recording."""
_MOST_LIFT_DB = 50.0
_DEPTH_DB = 38.0
"""How far below the loud parts speech may still be."""
_RAMP_DB = 10.0
"""Over which `activity` goes from 0 to 1."""
_STEADY_S = 2.0
"""From this length on a sound whose level hardly moves counts as noise."""
_ABOVE_NOISE_DB = 3.0
"""Speech is at least so much louder than the quietest parts."""
_REST_RAMP_S = 0.12
"""In which the mouth goes to rest, and comes back from it."""
_TELLS_DB, _DROWNED_DB = 18.0, 6.0
"""How much louder the loud parts are than the quietest: from the first on the level alone tells who
speaks, from the second down nothing."""


def lift(level: Tensor) -> float:
    """How many dB a recording is to be raised so that its loud parts are as loud as usual.

    What speaks softly into a bad microphone speaks; what is nearly digital silence does not.

    Args:
        level: (T,) dB.

    Returns:
        0 to 50, and less than 0 where the recording is louder than usual.
    """
    heard = level[level > _NOTHING_DB]
    if heard.numel() == 0:
        return 0.0
    return min(_USUAL_DB - float(torch.quantile(thin(heard), 0.95)), _MOST_LIFT_DB)


def activity(level: Tensor) -> Tensor:
    """How much somebody speaks at each step.

    Speech starts 38 dB below the loud parts, and never below what the quietest parts reach: a
    steady noise or hum is not speech.

    Args:
        level: (T,) dB.

    Returns:
        (T,) 0 to 1.
    """
    heard = level[level > _QUIET_DB]
    if heard.numel() == 0:
        return torch.zeros_like(level)
    loud = float(torch.quantile(thin(heard), 0.95))
    start = max(loud - _DEPTH_DB, _QUIET_DB)
    ramp = _RAMP_DB
    inside = level[recorded(level)]
    if inside.numel() >= _STEADY_S * STEP_RATE:
        # Between silence a recording fades in and out: of one without noise .05 is speech already.
        quietest = max(_low(level, 0.05), _low(inside, 0.02))
        noise = quietest + _ABOVE_NOISE_DB
        start = max(start, noise)
        ramp = min(_RAMP_DB, max(2.0, (loud - start) / 2))
    return ((level - start) / ramp).clamp(0, 1)


def drowned(level: Tensor) -> float:
    """How little the level tells about who speaks when.

    Noise is nearly as loud, or everything was made so loud that it was cut off.

    Args:
        level: (T,) dB.

    Returns:
        0 where the loud parts are 18 dB above the quietest, to 1 where they are 6 dB and less.
    """
    span = float(spread(level[recorded(level)]))
    return min(1.0, max(0.0, (_TELLS_DB - span) / (_TELLS_DB - _DROWNED_DB)))


def recorded(level: Tensor) -> slice:
    """The steps of a (T,) level from the first to the last that is not digital silence.

    What an editor put before and behind a recording would hide the noise in it. All where there is
    nothing else.
    """
    heard = torch.nonzero(level > _NOTHING_DB)
    return slice(int(heard[0]), int(heard[-1]) + 1) if heard.numel() else slice(None)


def spread(levels: Tensor) -> Tensor:
    """How much louder the loud parts are than the quietest: (..., T) dB to (...)."""
    some = thin(levels)
    return torch.quantile(some, 0.95, -1) - torch.quantile(some, 0.05, -1)


def loudness(level: Tensor) -> Tensor:
    """Level within the range of the speech: 0 quiet, 1 loud. (T,) to (T,)."""
    heard = level[level > _QUIET_DB]
    if heard.numel() == 0:
        return torch.zeros_like(level)
    loud = float(torch.quantile(thin(heard), 0.95))
    return ((level - (loud - 25.0)) / 25.0).clamp(0, 1)


def rest(active: Tensor) -> Tensor:
    """(T,) 0 in speech to 1 at rest, in pauses of more than 200 ms; with ramps inside them."""
    out = torch.zeros_like(active)
    ramp = _REST_RAMP_S * STEP_RATE
    for start, stop in true_runs(active < 0.2):
        if stop - start <= SILENCE_S * STEP_RATE and stop - start < active.numel():
            continue
        at = torch.arange(start, stop, dtype=active.dtype)
        rise = torch.ones_like(at) if start == 0 else ((at - start + 1) / ramp).clamp(max=1)
        fall = torch.ones_like(at) if stop == active.numel() else ((stop - at) / ramp).clamp(max=1)
        out[start:stop] = torch.minimum(rise, fall)
    return out


def _low(level: Tensor, share: float) -> float:
    return float(torch.quantile(thin(level), share))


def thin(values: Tensor) -> Tensor:
    """About a million values: `torch.quantile` refuses more than 16 million. (..., T)."""
    return values[..., :: max(1, values.numel() // 1_000_000)]
