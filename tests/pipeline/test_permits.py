from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.permits import Permits


def test_permits_are_taken_together_and_never_more_than_there_are() -> None:
    permits = Permits(lambda: 4)
    held = threading.Barrier(2, timeout=30)
    with ThreadPoolExecutor(2) as pool:

        def two() -> int:
            with permits.hold(2):
                held.wait()  # both hold at the same time
                taken = permits._taken
                held.wait()
                return taken

        assert list(pool.map(lambda _: two(), range(2))) == [4, 4]
    assert permits._taken == 0


def test_who_asks_for_much_is_not_overtaken_and_who_asks_for_more_than_all_takes_all() -> None:
    permits, order = Permits(lambda: 2), list[str]()

    def take(name: str, count: int) -> None:
        with permits.hold(count):
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with permits.hold(1):
            large = pool.submit(take, "large", 9)
            while len(permits._waiting) < 1:  # it waits in the queue
                threading.Event().wait(0.001)
            small = pool.submit(take, "small", 1)
            while len(permits._waiting) < 2:
                threading.Event().wait(0.001)
            assert order == [], "one permit is free, but it is not the small one's turn"
        large.result(30)
        small.result(30)
    assert order == ["large", "small"]


def test_an_error_gives_the_permits_back() -> None:
    permits = Permits(lambda: 1)
    with pytest.raises(ValueError, match="x"), permits.hold(1):
        raise ValueError("x")
    with permits.hold(1):
        assert permits._taken == 1


def test_who_waits_goes_on_where_there_are_fewer_in_all_by_then() -> None:
    most = 3
    permits = Permits(lambda: most)
    with ThreadPoolExecutor(1) as pool:

        def three() -> int:
            with permits.hold(3):
                return permits._taken

        with permits.hold(1):
            waits = pool.submit(three)
            while not permits._waiting:
                threading.Event().wait(0.001)
            most = 2
        assert waits.result(30) == 3
    assert permits._taken == 0
