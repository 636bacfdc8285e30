"""Phones in time: spans that cover a sound, and the blocks in which recognisers work through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pipeline.speech.grid import STEP_RATE

SILENCE = "SIL"
NEUTRAL = "SPN"
"""Speech that the recogniser could not name: a neutral vowel."""
_SHORTEST, _LONGEST = 10 * STEP_RATE, 20 * STEP_RATE


@dataclass(frozen=True, slots=True)
class PhoneSpan:
    """One phone."""

    name: str
    """ARPAbet without stress, as in CMUdict, or `SIL`, or `SPN` for speech without a name."""
    start: float
    """Seconds."""
    end: float

    @property
    def centre(self) -> float:
        """Seconds."""
        return (self.start + self.end) / 2

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


def blocks(level: Tensor) -> Iterator[tuple[int, int]]:
    """Half-open step ranges of at most 20 s of (T,) dB, cut at the quietest 100 ms from 10 s on."""
    total, start = level.numel(), 0
    while total - start > _LONGEST:
        window = level[start + _SHORTEST : start + _LONGEST]
        smooth = window.unfold(0, 10, 1).mean(1)
        cut = start + _SHORTEST + int(smooth.argmin()) + 5
        yield start, cut
        start = cut
    yield start, total


def merge(spans: Iterable[PhoneSpan]) -> list[PhoneSpan]:
    """Join neighbours of the same filler or silence; phones stay apart."""
    out: list[PhoneSpan] = []
    for span in spans:
        if out and out[-1].name == span.name and span.name in (SILENCE, NEUTRAL):
            out[-1] = PhoneSpan(span.name, out[-1].start, span.end)
        else:
            out.append(span)
    return out


def labels(spans: list[PhoneSpan], total: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Index into `spans` for each step, (T,); steps beyond the last span take the last."""
    ends = np.array([span.end for span in spans])
    at = np.arange(total) / STEP_RATE
    return np.minimum(np.searchsorted(ends, at, side="right"), len(spans) - 1)


def agree(ours: list[PhoneSpan], theirs: list[PhoneSpan], total: int) -> float:
    """Share of the time, silence by `theirs` left out, at which both name the same phone."""
    a = np.array([span.name for span in ours])[labels(ours, total)]
    b = np.array([span.name for span in theirs])[labels(theirs, total)]
    spoken = b != SILENCE
    return float((a == b)[spoken].mean()) if spoken.any() else 0.0
