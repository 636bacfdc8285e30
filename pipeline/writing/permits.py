"""How many threads may encode at a time in this process, whatever the number of jobs.

The number of a single encoder's threads is part of its bytes and so fixed; what can be shared is
time. An encoder asks for as many permits as it has threads, for one picture; first come, first
served. (With several frame threads, the last pictures of a turn may still be at work behind it.)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from pipeline.hardware import processors


class Permits:
    """Permits that are taken several at a time, first come, first served.

    Who gives permits back wakes those who can go on and nobody else: waking all, so that each looks
    whether it is its turn, took a fifth of the interpreter with eight jobs.

    Args:
        most: how many there are; asked for each time, as a process may be told late.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._taken = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()
        """How many each wants, and what is let go of when it has them."""
        self._lock = threading.Lock()

    def take(self, count: int) -> int:
        """Wait for permits; one that asks for more than there are takes all.

        Returns:
            How many are taken, which `give` must be told. (A context manager would be dearer than
            all else here, and each picture of each job comes by.)
        """
        with self._lock:
            most = self._most()
            count = min(count, most)
            if not self._waiting and self._fits(count, most):
                self._taken += count
                return count
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((count, turn))
        turn.acquire()
        return count

    def give(self, count: int) -> None:
        """Give back what `take` gave."""
        with self._lock:
            self._taken -= count
            most = self._most() if self._waiting else 0
            while self._waiting and self._fits(self._waiting[0][0], most):
                wanted, turn = self._waiting.popleft()
                self._taken += wanted
                turn.release()

    def _fits(self, count: int, most: int) -> bool:
        """Whether so many are free; there may be fewer in all than when they were asked for."""
        return not self._taken or self._taken + count <= most


encoding = Permits(processors)
"""Of all encoders in this process."""
