"""Stages that overlap keep order, pass errors on at their place, and stop when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pipeline.stream import Sink, prefetch


def test_prefetch_keeps_order_and_gives_every_item() -> None:
    assert list(prefetch(iter(range(1000)), 3, "test")) == list(range(1000))


def test_prefetch_raises_the_producers_error_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    line = prefetch(items(), 1, "test")
    assert [next(line), next(line)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(line)


def test_prefetch_never_runs_further_ahead_than_its_depth() -> None:
    made: list[int] = []
    arrived = threading.Event()

    def items() -> Iterator[int]:
        for n in range(100):
            made.append(n)
            if n == 3:
                arrived.set()
            yield n

    line = prefetch(items(), 2, "test")
    next(line)
    assert arrived.wait(120)
    # One taken, two queued, one in hand.
    assert max(made) <= 4
    line.close()


def test_closing_prefetch_closes_the_producer_and_ends_its_thread() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    line = prefetch(items(), 2, "test")
    next(line)
    line.close()
    assert closed.is_set()
    assert threading.active_count() <= before  # others may end meanwhile


def test_sink_consumes_in_order_before_close_returns() -> None:
    seen: list[int] = []
    sink: Sink[int] = Sink(seen.append, 2, "test")
    for n in range(100):
        sink.put(n)
    sink.close()
    assert seen == list(range(100))


def test_sink_passes_the_consumers_error_to_the_writer_and_never_blocks_it() -> None:
    def consume(n: int) -> None:
        raise OSError(28, "no space")

    sink: Sink[int] = Sink(consume, 1, "test")

    def write() -> None:
        for n in range(100):
            sink.put(n)

    with pytest.raises(OSError, match="no space"):
        write()
    sink.abort()


def test_aborted_sink_ends_its_thread() -> None:
    before = threading.active_count()
    sink: Sink[int] = Sink(lambda _: None, 1, "test")
    sink.put(1)
    sink.abort()
    assert threading.active_count() <= before  # others may end meanwhile
