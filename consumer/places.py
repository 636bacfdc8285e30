"""Whether a record in work takes a place here, or only waits for the replica that works on it.

After a rebalance a replica is given records whose jobs still run elsewhere. Were they counted like
its own, a new replica of a busy fleet would stand idle for as long as those jobs last. Those that
wait for a worker which cannot work here count so, too: another replica may well be given them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar


class Place:
    """The place of one record in work; `changed` is called when it is left or taken again."""

    __slots__ = ("_changed", "elsewhere")

    def __init__(self, changed: Callable[[], None]) -> None:
        self.elsewhere = False
        self._changed = changed

    def set(self, *, elsewhere: bool) -> None:
        """Say where the work is done."""
        self.elsewhere = elsewhere
        self._changed()


PLACE: ContextVar[Place] = ContextVar("place")
"""Of the record that the running task sees to its end; tasks that it starts inherit it."""


@contextlib.contextmanager
def elsewhere() -> Iterator[None]:
    """Inside, this task's record waits for another replica and takes no place."""
    place = PLACE.get(None)
    if place is None:
        yield
        return
    place.set(elsewhere=True)
    try:
        yield
    finally:
        place.set(elsewhere=False)
