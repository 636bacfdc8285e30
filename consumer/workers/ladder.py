"""How fast the networks of a GPU may run in a worker's next child, by how its children ended.

Where a network cannot be compiled or captured, a child goes a slower way by itself and says so
(`pipeline.batching.captured`). What crashes it, breaks its device or hangs it until it is killed
cannot be answered there: the next child would meet it again, and no worker would ever be ready.
"""

from __future__ import annotations

import signal

from consumer.workers.protocol import EXIT_STICKY
from schemas.device import WAYS, Way

PATIENCE = 2
"""Children in a row that end so before they are ready, until the next goes a slower way: one may
be chance."""
_BROKEN = {EXIT_STICKY, *(-each for each in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS))}
_BROKEN |= {-each for each in (signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)}


class Ladder:
    """Of one worker; it goes down, and up again only with a new replica.

    Args:
        best: the way to begin with, `F2F_GPU_NETWORKS`.
    """

    def __init__(self, best: Way) -> None:
        self.way = best
        """The best that the next child may go."""
        self._broken = 0

    def ended(self, *, ready: bool, code: int | None, stalled: bool) -> bool:
        """Whether the next child goes a slower way than this one, which has ended.

        Args:
            ready: it had become ready; then its end says nothing of networks.
            code: how it ended, as `asyncio` tells it.
            stalled: it was killed, because it did not become ready or showed no life.
        """
        if ready:
            self._broken = 0
            return False
        self._broken += stalled or code in _BROKEN
        if self._broken < PATIENCE or self.way == WAYS[-1]:
            return False
        self._broken = 0
        self.way = WAYS[WAYS.index(self.way) + 1]
        return True
