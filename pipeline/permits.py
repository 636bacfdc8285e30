"""How many threads may encode at a time in this process, whatever the number of jobs.

The number of a single encoder's threads is part of its bytes and so fixed; what can be shared is
time. An encoder asks for as many permits as it has threads, for one picture; first come, first
served. (With several frame threads, the last pictures of a turn may still be at work behind it.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.hardware import processors


class Permits:
    """Permits that are taken several at a time, first come, first served.

    Args:
        most: how many there are; asked for each time, as a process may be told late.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._taken = 0
        self._next = self._turn = 0
        self._news = threading.Condition()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Wait for permits and hold them; one that asks for more than there are takes all."""
        count = min(count, self._most())
        with self._news:
            ticket, self._next = self._next, self._next + 1
            self._news.wait_for(
                lambda: ticket == self._turn and self._taken + count <= self._most()
            )
            self._turn += 1
            self._taken += count
            self._news.notify_all()
        try:
            yield
        finally:
            with self._news:
                self._taken -= count
                self._news.notify_all()


encoding = Permits(processors)
"""Of all encoders in this process."""
