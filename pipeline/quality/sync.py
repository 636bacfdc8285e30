"""Does the mouth do what was asked, when it was asked, and does it close?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.speech.phones import PhoneSpan
from pipeline.speech.ridge import correlation
from pipeline.speech.visemes import LIPS_CLOSED, OPEN_VOWELS

MAX_LAG_S = 0.30
_LAG_STEP_S = 0.01
CLOSED_BELOW = 0.02
"""Aperture in io below which lips count as closed."""
_SLACK_S = 0.03
_LEAST_FRAMES = 10
_STILL = 1e-6


@dataclass(frozen=True, slots=True)
class Agreement:
    """Requested against re-measured opening."""

    r: float
    """Pearson's correlation without a lag."""
    best_r: float
    lag_s: float
    """At the best correlation; positive when the picture is late."""


def agreement(requested: Tensor, measured: Tensor, fps: float) -> Agreement | None:
    """Correlate two curves, one value per output frame.

    Args:
        requested: (N,) in any unit, NaN where it is not known.
        fps: frames per second.

    Returns:
        None where fewer than 10 frames were measured, or one side does not move.
    """
    count = min(len(requested), len(measured))
    asked, seen = requested[:count].double(), measured[:count].double()
    good = torch.isfinite(seen) & torch.isfinite(asked)
    if int(good.sum()) < _LEAST_FRAMES or not (_moves(asked[good]) and _moves(seen[good])):
        return None
    most = round(MAX_LAG_S / _LAG_STEP_S)
    lags = [n * _LAG_STEP_S for n in range(-most, most + 1)]
    found = [_at_lag(asked, seen, good, lag * fps) for lag in lags]
    best = max(range(len(lags)), key=lambda n: (found[n], -abs(lags[n])))
    return Agreement(found[len(lags) // 2], found[best], lags[best])


def _moves(curve: Tensor) -> bool:
    return float(curve.std()) > _STILL


def _at_lag(asked: Tensor, seen: Tensor, good: Tensor, frames: float) -> float:
    """Correlation with `asked` moved later by a number of frames, over the frames both cover."""
    at = torch.arange(len(asked), dtype=torch.float64) - frames
    place = at.clamp(0, len(asked) - 1)
    left = place.floor().long()
    share = place - left
    right = torch.where(share > 0, (left + 1).clamp(max=len(asked) - 1), left)
    moved = asked[left] * (1 - share) + asked[right] * share
    inside = good & (at == place) & torch.isfinite(moved)
    if int(inside.sum()) < _LEAST_FRAMES:
        return 0.0
    return float(correlation(moved[inside], seen[inside]))


@dataclass(frozen=True, slots=True)
class Shut:
    """One p, b or m in the output."""

    phone: PhoneSpan
    aperture: float
    """The least opening around it, io."""
    frame: int
    """Where that is."""

    @property
    def closed(self) -> bool:
        """The lips were seen to touch."""
        return self.aperture < CLOSED_BELOW


def closures(spans: Sequence[PhoneSpan], measured: Tensor, fps: float, lead_s: float) -> list[Shut]:
    """Every p, b and m, and how far the mouth was closed there.

    Args:
        spans: the phones of the speech.
        fps: frames per second.
        lead_s: seconds that the lips are ahead of the sound.

    Returns:
        One entry for each span of which a frame was measured.
    """
    found = []
    for span in spans:
        if span.name not in LIPS_CLOSED:
            continue
        start, end = span.start - lead_s - _SLACK_S, span.end - lead_s + _SLACK_S
        if frames := _frames(start, end, measured, fps):
            least = min(frames, key=lambda n: float(measured[n]))
            found.append(Shut(span, float(measured[least]), least))
    return found


def open_vowels(
    spans: Sequence[PhoneSpan], measured: Tensor, fps: float, lead_s: float
) -> list[tuple[PhoneSpan, int]]:
    """Every open vowel, and the frame at which the mouth is widest in it.

    Args:
        measured: (F,) aperture of each frame, io.
        lead_s: seconds that the lips are ahead of the sound.
    """
    found = []
    for span in spans:
        if span.name not in OPEN_VOWELS:
            continue
        if frames := _frames(span.start - lead_s, span.end - lead_s, measured, fps):
            found.append((span, max(frames, key=lambda n: float(measured[n]))))
    return found


def _frames(start: float, end: float, measured: Tensor, fps: float) -> list[int]:
    """Measured frames whose interval touches a stretch of time."""
    first, last = max(0, math.floor(start * fps)), min(len(measured) - 1, math.floor(end * fps))
    return [n for n in range(first, last + 1) if math.isfinite(float(measured[n]))]
