"""Frames/s of a round while all of its slots are at work.

Jobs that begin together look for faces together and paint together, and the last one ends alone: of
a round of some seconds that is a quarter of the time, and nothing that a running service sees.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.types import OnTick, Tick

Made = tuple[float, int]
"""Second of `time.monotonic`, and frames that were made then."""


@dataclass(slots=True)
class Progress:
    """When the frames of many jobs were made."""

    made: list[Made] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of_job(self) -> OnTick:
        """What one job is to be given."""
        done = 0

        def note(tick: Tick) -> None:
            nonlocal done
            if tick.stage == "generate":
                with self._lock:
                    self.made.append((time.monotonic(), tick.done - done))
                done = tick.done

        return note


def steady(made: Iterable[Made], start: float, end: float) -> float:
    """Frames/s in the middle half of the time from `start` to `end`."""
    quarter = (end - start) / 4
    inside = sum(frames for at, frames in made if start + quarter <= at < end - quarter)
    return inside / (2 * quarter)
