"""What takes long to make and is then shared: made once, however many jobs ask at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Once(Generic[Made]):
    """A function that remembers what it made of each arguments.

    `functools.cache` lets everybody make who asks before the first is done: sixteen jobs that begin
    together would load the same weights sixteen times. Nothing is forgotten, as what is captured on
    a GPU takes a minute to be made again. What raises is not remembered.

    Args:
        make: called once for each arguments; others that ask for the same wait for it.
    """

    def __init__(self, make: Callable[..., Made]) -> None:
        self._make = make
        self._made: dict[tuple[Hashable, ...], Made] = {}
        self._turns: dict[tuple[Hashable, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def __call__(self, *asked: Hashable) -> Made:
        """What was made of these arguments."""
        if asked in self._made:
            return self._made[asked]
        with self._lock:
            turn = self._turns.setdefault(asked, threading.Lock())
        with turn:
            if asked not in self._made:
                self._made[asked] = self._make(*asked)
            return self._made[asked]

    def forget(self) -> None:
        """Make everything anew."""
        self._made.clear()
