"""How long a thread waits for the interpreter's lock, as every thread of a busy process does.

A thread that sleeps for a moment must have the lock back before it goes on. What it sleeps longer
than it asked for is what a job's thread waits whenever a library or an operator gives the lock
back: some .1 ms where nobody else wants it, and the sign of a full interpreter where it is much
more with sixteen jobs than with one while processors are idle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_SLEEP_S = 0.002


@dataclass(slots=True)
class Waiting:
    """Seconds that one thread slept longer than it asked for, in order."""

    samples: list[float] = field(default_factory=list)

    @property
    def mean_ms(self) -> float:
        """Milliseconds; 0 where there was no time for a sample."""
        return 1e3 * sum(self.samples) / len(self.samples) if self.samples else 0.0


@contextmanager
def waiting() -> Iterator[Waiting]:
    """Measure while what is inside runs."""
    found, over = Waiting(), threading.Event()

    def sleep() -> None:
        while not over.is_set():
            start = time.perf_counter()
            time.sleep(_SLEEP_S)
            found.samples.append(time.perf_counter() - start - _SLEEP_S)

    thread = threading.Thread(target=sleep, name="f2f-waiting", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
