"""When the lips are shut, or on the teeth: a hard cap on the opening."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.speech.grid import STEP_RATE
from pipeline.speech.phones import PhoneSpan
from pipeline.speech.visemes import CLOSED_CAP, LIP_TO_TEETH, LIP_TO_TEETH_CAP, LIPS_CLOSED

HELD_SHARE = 0.6
"""Half of the phone's duration times this, on either side of its centre, is fully closed."""
RAMP_S = 0.07
_LEAST_HELD_S = 0.012


@dataclass(frozen=True, slots=True)
class Closure:
    """One shut mouth."""

    start: float
    """Seconds; from here to `end` the opening is at most `cap`."""
    end: float
    cap: float
    """Share of the range: 0 lips together, .10 lip on teeth."""
    phone: str


def from_phones(spans: Iterable[PhoneSpan]) -> list[Closure]:
    """The closures that the phones ask for."""
    found: list[Closure] = []
    for span in spans:
        if span.name in LIPS_CLOSED:
            cap = CLOSED_CAP
        elif span.name in LIP_TO_TEETH:
            cap = LIP_TO_TEETH_CAP
        else:
            continue
        half = max(HELD_SHARE * span.duration / 2, _LEAST_HELD_S)
        found.append(Closure(span.centre - half, span.centre + half, cap, span.name))
    return found


def caps(closures: Iterable[Closure], total: int) -> Tensor:
    """The highest opening that the closures allow at each step.

    Returns:
        (T,) float32, 1 where nothing is closed, linear ramps of 70 ms beside each closure.
    """
    cap = torch.ones(total)
    for closure in closures:
        first = max(0, int((closure.start - RAMP_S) * STEP_RATE))
        last = min(total, int((closure.end + RAMP_S) * STEP_RATE) + 2)
        if first >= last:
            continue
        at = torch.arange(first, last, dtype=torch.float64) / STEP_RATE
        away = torch.maximum(closure.start - at, at - closure.end).clamp(min=0)
        # The step nearest to a very short closure must reach the cap.
        away = torch.where(away <= 0.5 / STEP_RATE, torch.zeros_like(away), away)
        allowed = closure.cap + (1 - closure.cap) * (away / RAMP_S).clamp(max=1)
        cap[first:last] = torch.minimum(cap[first:last], allowed.to(cap.dtype))
    return cap
