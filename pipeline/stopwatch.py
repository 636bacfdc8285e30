"""Where the time of a render goes, by stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """Busy milliseconds by stage; stages that overlap are counted each on its own thread.

    Args:
        clock: seconds; with `time.thread_time` the processor's time is counted.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside to `name`."""
        start = self._clock()
        try:
            yield
        finally:
            self.add(name, self._clock() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count `seconds` to `name`."""
        with self._lock:
            self._spent[name] = self._spent.get(name, 0.0) + seconds

    def timed(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on, counting the time that making each of them takes."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def report(self) -> dict[str, float]:
        """Milliseconds by stage, and the wall time as `total`."""
        with self._lock:
            spent = {name: round(seconds * 1e3, 2) for name, seconds in self._spent.items()}
        spent["total"] = round((time.perf_counter() - self._started) * 1e3, 2)
        return spent
