"""Who may touch which memory of a device when: streams, events and blocks of `strict_cuda`.

Nothing is late here. It is only kept in mind what each stream was asked, and for what of that the
host or another stream has waited. Memory that is touched without, or freed, is a race.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

here = threading.local()
"""`streams`: those that this thread has entered, the innermost last; `graph`: what it captures."""
Clock = dict[int, int]
"""Steps of streams, by their numbers."""
_numbers = count()


class Race(RuntimeError):
    """Memory is touched that another stream may still work on."""


@dataclass
class Order:
    """What is known of all streams."""

    done: Clock = field(default_factory=dict)
    """What the host has waited for."""
    asleep: int = 0
    """Waits for events."""
    races: list[str] = field(default_factory=list)
    """Memory that was freed too early, where nothing can be raised."""
    streams: list[StrictStream] = field(default_factory=list)


order = Order()
"""Of the test that runs."""


def begin() -> None:
    """Know nothing yet."""
    global order
    order = Order()


def wait_for_all() -> None:
    """The host waits for the whole device."""
    for stream in order.streams:
        stream.synchronize()


class StrictStream:
    """Does at once what it is asked."""

    def __init__(self, *_: Any, priority: int = 0) -> None:
        self.priority = priority
        self.number = next(_numbers)
        self.step = 0
        self._knows: Clock = {}
        order.streams.append(self)

    @staticmethod
    def priority_range() -> tuple[int, int]:
        """The last and the first."""
        return 0, -5

    @property
    def reached(self) -> Clock:
        """All that is done once it has done what it was asked by now."""
        return {**self._knows, self.number: self.step}

    def synchronize(self) -> None:
        _merge(order.done, self.reached)

    def wait_event(self, event: StrictEvent) -> None:
        """What is asked from now on happens after the event."""
        _merge(self._knows, event.reached)

    def wait_stream(self, other: StrictStream) -> None:
        """What is asked from now on happens after all that the other was asked."""
        _merge(self._knows, other.reached)

    def comes_after(self, number: int, step: int) -> bool:
        """Whether what it is asked now happens after a step of a stream."""
        known = max(self._knows.get(number, -1), order.done.get(number, -1))
        return number == self.number or known >= step


@dataclass
class StrictEvent:
    """A mark in a stream."""

    blocking: bool = False
    """Whether who waits sleeps."""
    reached: Clock = field(default_factory=dict)

    def record(self, stream: StrictStream) -> None:
        self.reached = stream.reached

    def synchronize(self) -> None:
        if not self.blocking:
            raise RuntimeError("a processor would be busy with waiting")
        order.asleep += 1
        _merge(order.done, self.reached)


def current() -> StrictStream:
    """The stream that this thread works on."""
    entered: list[StrictStream] = getattr(here, "streams", [])
    return entered[-1] if entered else _default


class Block:
    """Memory of the device. torch's allocator gives it to its stream again once it is free."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._order = order
        self._owner = current()
        self._written = (self._owner.number, self._owner.step)
        self._used: dict[StrictStream, int] = {self._owner: self._owner.step}
        self.kept_for: set[StrictStream] = set()

    def touch(self, writes: bool, line: str) -> None:
        """An operator of the current stream reads it or writes to it."""
        stream = current()
        if self._order is not order:  # kept for all jobs since another test, whose device is idle
            self._order, self._used, self._written = order, {}, (stream.number, 0)
        others = [self._written]
        if writes:
            others += [(other.number, step) for other, step in self._used.items()]
        for number, step in others:
            if not stream.comes_after(number, step):
                raise Race(f"{line} touches what another stream may still work on: {self._line}")
        self._used[stream] = stream.step
        if writes:
            self._written = (stream.number, stream.step)

    def __del__(self, ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if ends() or self._order is not order:  # Python, whose modules are gone by now; its test
            return
        for stream, step in self._used.items():
            if stream not in self.kept_for and not self._owner.comes_after(stream.number, step):
                order.races.append(f"freed while another stream may still use it: {self._line}")


def _merge(into: Clock, more: Clock) -> None:
    for number, step in more.items():
        into[number] = max(into.get(number, -1), step)


_default = StrictStream()
