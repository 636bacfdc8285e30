"""How much of a reference is tracked: what the output needs, rounded up to one of few lengths.

The avatar of a reference depends on how much of it was tracked. Steps of 10, 15, 20, 30, 40, 60 …
seconds let speeches of many lengths share one, and cost a fifth more tracking on average where
nothing is shared. They hold for every job, so that the pixels do not depend on what was kept.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import count

LEAST_S = 10
"""Seconds that are tracked even when the output needs fewer: mouths to choose from."""
NEARLY = Fraction(4, 5)
"""From this share of the reference on, all of it is tracked."""


def tracked_frames(used: int, fps: Fraction, frames: int) -> int:
    """Grid frames to track, from the first: at least the `used` ones, which the output touches."""
    for step in count():
        seconds = LEAST_S * 2 ** (step // 2) * (Fraction(3, 2) if step % 2 else 1)
        reach = int(seconds * fps)
        if reach >= NEARLY * frames:
            return frames
        if reach >= used:
            return reach
    raise AssertionError("unreachable")
