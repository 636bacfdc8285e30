"""When the lips are shut, or on the teeth: a hard cap on the opening."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.speech.dips import HISS_DB, Dip
from pipeline.speech.grid import STEP_RATE
from pipeline.speech.phones import NEUTRAL, PhoneSpan
from pipeline.speech.visemes import (
    CLOSED_CAP,
    LIP_TO_TEETH,
    LIP_TO_TEETH_CAP,
    LIPS_CLOSED,
    VOWELS,
)

HELD_SHARE = 0.6
"""Half of the phone's duration times this, on either side of its centre, is fully closed."""
RAMP_S = 0.07
_NO_RAMP_S = 1e-6
_LEAST_HELD_S = 0.012
_NARROW_CAP = 0.40
_NARROW_HELD_S = 0.02


@dataclass(frozen=True, slots=True)
class Closure:
    """One shut mouth."""

    start: float
    """Seconds; from here to `end` the opening is at most `cap`."""
    end: float
    cap: float
    """Share of the range: 0 lips together, .10 lip on teeth, .40 some other consonant."""
    phone: str


def find(spans: Iterable[PhoneSpan], dips: Sequence[Dip]) -> list[Closure]:
    """The closures that phones and signal ask for, in order."""
    times = [dip.time for dip in dips]
    found: list[Closure] = []
    for span in spans:
        inside = dips[bisect_left(times, span.start) : bisect_left(times, span.end)]
        found.extend(_of_phone(span, inside))
    return found


def _of_phone(span: PhoneSpan, dips: Sequence[Dip]) -> Iterator[Closure]:
    half = max(HELD_SHARE * span.duration / 2, _LEAST_HELD_S)
    if span.name in LIPS_CLOSED:
        yield Closure(span.centre - half, span.centre + half, CLOSED_CAP, span.name)
    elif span.name in LIP_TO_TEETH:
        shut = any(dip.hiss < HISS_DB for dip in dips)
        cap = CLOSED_CAP if shut else LIP_TO_TEETH_CAP
        yield Closure(span.centre - half, span.centre + half, cap, span.name)
    elif span.name in VOWELS or span.name == NEUTRAL:
        for dip in dips:
            yield Closure(
                dip.time - _NARROW_HELD_S, dip.time + _NARROW_HELD_S, _NARROW_CAP, span.name
            )


def caps(closures: Iterable[Closure], total: int, ramp_s: float = RAMP_S) -> Tensor:
    """The highest opening that the closures allow at each step.

    Args:
        total: steps.
        ramp_s: seconds of the linear ramps beside each closure, above 0.

    Returns:
        (T,) float32, 1 where nothing is closed.
    """
    cap = torch.ones(total)
    for closure in closures:
        first = max(0, int((closure.start - ramp_s) * STEP_RATE))
        last = min(total, int((closure.end + ramp_s) * STEP_RATE) + 2)
        if first >= last:
            continue
        at = torch.arange(first, last, dtype=torch.float64) / STEP_RATE
        away = torch.maximum(closure.start - at, at - closure.end).clamp(min=0)
        # The step nearest to a very short closure must reach the cap.
        away = torch.where(away <= 0.5 / STEP_RATE, torch.zeros_like(away), away)
        allowed = closure.cap + (1 - closure.cap) * (away / ramp_s).clamp(max=1)
        cap[first:last] = torch.minimum(cap[first:last], allowed.to(cap.dtype))
    return cap


def holds(closures: Iterable[Closure], total: int) -> Tensor:
    """The same without ramps: what holds within the closures alone, (T,)."""
    return caps(closures, total, _NO_RAMP_S)
