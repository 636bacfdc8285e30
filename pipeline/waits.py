"""How long threads have waited for a device by now: one that hangs raises nothing by itself.

Imports nothing heavy, so that a child's heartbeat can look while torch is still being loaded.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

_waiting: dict[int, float] = {}
"""Since when each thread waits, by its number."""


class Event(Protocol):
    """A mark in what a device was asked to do; `torch.cuda.Event` is one."""

    def synchronize(self) -> None:
        """Wait until the device is there."""
        ...


def wait_for(event: Event) -> None:
    """Wait until a device has come to an event."""
    here = threading.get_ident()
    _waiting[here] = time.monotonic()
    try:
        event.synchronize()
    finally:
        del _waiting[here]


def longest_s() -> float:
    """Seconds of the longest wait that goes on; 0 where nobody waits."""
    began = min(_waiting.copy().values(), default=None)
    return 0.0 if began is None else time.monotonic() - began
