"""Permits are given together, in turn, and never more than there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pipeline.writing.permits import Permits


@contextmanager
def hold(permits: Permits, count: int) -> Iterator[None]:
    taken = permits.take(count)
    try:
        yield
    finally:
        permits.give(taken)


def test_permits_are_taken_together_and_never_more_than_there_are() -> None:
    permits = Permits(lambda: 4)
    held = threading.Barrier(2, timeout=120)
    with ThreadPoolExecutor(2) as pool:

        def two() -> int:
            with hold(permits, 2):
                held.wait()  # both hold at the same time
                taken = permits._taken
                held.wait()
                return taken

        assert list(pool.map(lambda _: two(), range(2))) == [4, 4]
    assert permits._taken == 0


def test_who_asks_for_much_is_not_overtaken_and_who_asks_for_more_than_all_takes_all() -> None:
    permits, order = Permits(lambda: 2), list[str]()

    def take(name: str, count: int) -> None:
        with hold(permits, count):
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with hold(permits, 1):
            large = pool.submit(take, "large", 9)
            while len(permits._waiting) < 1:  # it waits in the queue
                threading.Event().wait(0.001)
            small = pool.submit(take, "small", 1)
            while len(permits._waiting) < 2:
                threading.Event().wait(0.001)
            assert order == [], "one permit is free, but it is not the small one's turn"
        large.result(120)
        small.result(120)
    assert order == ["large", "small"]


def test_who_waits_goes_on_where_there_are_fewer_in_all_by_then() -> None:
    most = 3
    permits = Permits(lambda: most)
    with ThreadPoolExecutor(1) as pool:

        def three() -> int:
            with hold(permits, 3):
                return permits._taken

        with hold(permits, 1):
            waits = pool.submit(three)
            while not permits._waiting:
                threading.Event().wait(0.001)
            most = 2
        assert waits.result(120) == 3
    assert permits._taken == 0
