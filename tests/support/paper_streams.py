"""Streams of CUDA on paper, as late as they may be, and the marks in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

here = threading.local()
"""`streams`: those that this thread has entered, the innermost last."""


class PaperStream:
    """Does what it is asked when somebody waits."""

    def __init__(self, *_: Any, priority: int = 0) -> None:
        self.priority = priority
        self.kept: list[Tensor] = []
        """What is not to be used again before this stream has come so far."""
        self.busy_waits = 0
        """Of the host, which would keep a processor busy."""
        self._steps: list[Callable[[], Any]] = []
        self._done = 0
        self._lock = threading.RLock()

    @staticmethod
    def priority_range() -> tuple[int, int]:
        """The last and the first."""
        return 0, -5

    def ask(self, step: Callable[[], Any]) -> None:
        """Put a step behind the others."""
        with self._lock:
            self._steps.append(step)

    @property
    def asked(self) -> int:
        """Steps so far."""
        return len(self._steps)

    @torch.inference_mode()
    def reach(self, step: int) -> None:
        """Do everything before a step."""
        with self._lock, _disable_current_modes():
            while self._done < step:
                self._done += 1
                self._steps[self._done - 1]()

    def synchronize(self) -> None:
        """Do everything."""
        self.busy_waits += 1
        self.reach(self.asked)

    def stand_by(self) -> None:
        """What a copy does that is not told to let the host go on."""
        if self._done < self.asked:
            self.synchronize()

    def wait_event(self, event: PaperEvent) -> None:
        """What is asked from now on happens after the event."""
        self.ask(event.reach)

    def wait_stream(self, other: PaperStream) -> None:
        """What is asked from now on happens after all that the other was asked."""
        self.ask(partial(other.reach, other.asked))


class Host(PaperStream):
    """The default stream: whoever works outside of streams is never late."""

    def wait_event(self, event: PaperEvent) -> None:
        event.reach()


@dataclass
class PaperEvent:
    """A mark in a stream."""

    stream: PaperStream | None = None
    step: int = 0
    waits: int = 0
    blocking: bool = False
    """Whether who waits sleeps."""

    def record(self, stream: PaperStream) -> None:
        self.stream, self.step = stream, stream.asked

    def reach(self) -> None:
        if self.stream is not None:
            self.stream.reach(self.step)

    def synchronize(self) -> None:
        if not self.blocking:
            raise RuntimeError("a processor would be busy with waiting")
        self.waits += 1
        self.reach()


def current() -> PaperStream:
    """The stream that this thread works on."""
    entered: list[PaperStream] = getattr(here, "streams", [])
    return entered[-1] if entered else Host()
