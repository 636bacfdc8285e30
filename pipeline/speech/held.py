"""Vowels that are held: a sung note, a drawl. The phone network names them once, at their onset."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from pipeline.speech.activity import thin
from pipeline.speech.grid import HOP, STEP_RATE, gaussian
from pipeline.speech.phones import SILENCE, PhoneSpan
from pipeline.speech.visemes import VOWELS

_BANDS = 8
_SIGMA_S = 0.03
_REACH_S = 0.25
"""From the vowel's middle to the gap: as far as it is taken to last."""
_SAME = 0.75
"""Up to which a band differs on the mean, in natural logarithms of power, the level left out."""
_FALL_DB = 12.0
"""A held vowel falls no further below what was named; what does fades out."""
_LEAST_S = 0.10
_SPEAKS, _BELOW_LOUD_DB = 0.9, 12.0
"""A held vowel is among what is loud, and above any noise: a pause's own noise is not held."""
_VOICED = 0.6
"""Least periodicity: steady voices have .85 and more; noise, applause and chords .1 to .5, though
the network names vowels at their onset. A single steady tone passes."""
_WINDOW, _SHIFT, _MOST = 800, 400, 160_000
_PERIODS = slice(16, 229)
"""Samples at 16 kHz: 50 ms every 25 ms, for 10 s at most, and the periods of 1000 to 70 Hz."""


def hold(
    spans: list[PhoneSpan], samples: Tensor, mel: Tensor, level: Tensor, active: Tensor
) -> list[PhoneSpan]:
    """Let vowels last as long as they sound on, into gaps in which nothing was named.

    Args:
        spans: phones without a gap, in time.
        samples: (N,) float at 16 kHz.
        mel: (40, T) natural logarithm of the power at 100 Hz.
        level: (T,) dB.
        active: (T,) how much somebody speaks by the level alone, 0 to 1.

    Returns:
        The same phones; of the silence beside a vowel only what does not sound like it.
    """
    if not any(_gap(a, b) for a, b in pairwise(spans)):
        return spans
    bands = gaussian(torch.stack([part.mean(0) for part in mel.chunk(_BANDS)]), _SIGMA_S)
    colour, loud = bands - bands.mean(0), gaussian(level, _SIGMA_S)
    loud = torch.where(active < _SPEAKS, -torch.inf, loud)
    least = float(torch.quantile(thin(level), 0.95)) - _BELOW_LOUD_DB
    out = list(spans)
    for n, (one, after) in enumerate(pairwise(spans)):
        if not _gap(one, after):
            continue
        forward = after.name == SILENCE
        edge, far = round(one.end * STEP_RATE), round(_REACH_S * STEP_RATE)
        if forward:
            steps = range(edge, min(round(after.end * STEP_RATE), level.numel()))
            named = slice(max(0, edge - far), edge)
        else:
            steps = range(min(edge, level.numel()) - 1, round(out[n].start * STEP_RATE) - 1, -1)
            named = slice(edge, edge + far)
        count = _lasts(colour, loud, steps, named)
        if count < _LEAST_S * STEP_RATE or float(loud[named].max()) < least:
            continue
        first = edge if forward else edge - count
        if _periodicity(samples[first * HOP : (first + count) * HOP]) < _VOICED:
            continue
        to = one.end + (count if forward else -count) / STEP_RATE
        to = min(max(to, out[n].start), after.end)
        out[n], out[n + 1] = (
            PhoneSpan(one.name, out[n].start, to),
            PhoneSpan(after.name, to, out[n + 1].end),
        )
    return [span for span in out if span.end > span.start]


def _gap(one: PhoneSpan, after: PhoneSpan) -> bool:
    return {one.name, after.name} & VOWELS != set() and SILENCE in (one.name, after.name)


def _lasts(colour: Tensor, loud: Tensor, steps: range, named: slice) -> int:
    """How many of the steps sound like what was named, from the first on without a break."""
    if not steps or colour[:, named].shape[1] == 0:
        return 0
    at = torch.tensor(steps)
    mean, level = colour[:, named].mean(1, keepdim=True), loud[named].max()
    if float(loud[named].min()) < level - _FALL_DB:
        return 0
    away = (colour[:, at] - mean).abs().mean(0)
    same = (away < _SAME) & (loud[at] > level - _FALL_DB)
    return int(same.long().cumprod(0).sum())


def _periodicity(samples: Tensor) -> float:
    """How much a sound of 50 ms and more repeats itself at a voice's pitch, 0 to 1 on the mean."""
    window = torch.hann_window(_WINDOW)
    pieces = samples[:_MOST].float().unfold(0, _WINDOW, _SHIFT) * window
    alike, at_most = _autocorrelation(pieces), _autocorrelation(window)
    share = alike / alike[:, :1].clamp(min=1e-9) / (at_most / at_most[0])
    return float(share[:, _PERIODS].amax(1).mean())


def _autocorrelation(pieces: Tensor) -> Tensor:
    """(..., 2 _WINDOW) by lag, of (..., _WINDOW) samples."""
    power = torch.fft.rfft(pieces, 2 * _WINDOW).abs().square()
    by_lag: Tensor = torch.fft.irfft(power, 2 * _WINDOW)
    return by_lag
