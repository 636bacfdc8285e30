"""Processor time of a render's threads, and how much of it calls spend that hold no lock.

Only such calls are measured as let go of the interpreter's lock while they work: libav's, files',
the allocator's, numpy's copies of decoded planes, and a batch of a network. (libav's resampler and
the opening of a codec keep it.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from pipeline import render as story
from pipeline.batching.shared import Shared
from pipeline.reading.upright import Upright

_LIBRARIES: tuple[tuple[Any, str], ...] = (
    (av, "open"),
    (Packet, "decode"),
    (CodecContext, "encode"),
    (AudioStream, "encode"),
    (InputContainer, "seek"),
    (InputContainer, "close"),
    (OutputContainer, "mux"),
    (OutputContainer, "close"),
    (os, "pread"),
    (os, "preadv"),
    (os, "pwrite"),
    (os, "pwritev"),
    (story, "return_freed_memory"),
    (Shared, "_run"),
    (Upright, "_three"),
)


class Meter:
    """Seconds of all threads that were started meanwhile."""

    def __init__(self) -> None:
        self.threads = 0.0
        """Processor time."""
        self.spent = 0.0
        """Of this, inside what is measured."""
        self.calls = 0
        """That were measured."""
        self._lock = threading.Lock()
        self._inside = threading.local()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, measured; what it calls that is measured, too, counts once."""

        @wraps(call)
        def run(*args: Any, **named: Any) -> Any:
            if getattr(self._inside, "measured", False):
                return call(*args, **named)
            self._inside.measured = True
            start = time.thread_time()
            try:
                return call(*args, **named)
            finally:
                self._add(time.thread_time() - start)
                self._inside.measured = False

        return run

    def each(self, make: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same iterator, each step measured."""

        @wraps(make)
        def run(*args: Any, **named: Any) -> Iterator[Any]:
            step = self.around(make(*args, **named).__next__)
            while True:
                try:
                    item = step()
                except StopIteration:
                    return
                yield item

        return run

    def thread(self, run: Callable[[threading.Thread], None]) -> Callable[..., None]:
        """`threading.Thread.run`, measured as a whole."""

        def measured(thread: threading.Thread) -> None:
            start = time.thread_time()
            try:
                run(thread)
            finally:
                took = time.thread_time() - start
                with self._lock:
                    self.threads += took

        return measured

    def _add(self, seconds: float) -> None:
        with self._lock:
            self.spent += seconds
            self.calls += 1


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure the threads that are started inside and end inside."""
    meter = Meter()
    with ExitStack() as stack:
        for owner, name in _LIBRARIES:
            whole = getattr(owner, name)
            stack.enter_context(patch.object(owner, name, meter.around(whole)))
        demux = meter.each(InputContainer.demux)
        stack.enter_context(patch.object(InputContainer, "demux", demux))
        run = meter.thread(threading.Thread.run)
        stack.enter_context(patch.object(threading.Thread, "run", run))
        yield meter


def cost_of_metering(times: int = 20_000) -> float:
    """Processor seconds that measuring a call takes outside of what it measures."""
    meter = Meter()
    nothing = meter.around(int)
    start = time.thread_time()
    for _ in range(times):
        nothing()
    return max(0.0, (time.thread_time() - start - meter.spent) / times)
