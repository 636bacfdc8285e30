"""What is shared is made once, however many jobs ask."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.once import Once

LIMIT_S = 120.0


class _Key:
    """What is asked for; it says when so many threads have looked for it."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._by: set[int] = set()
        self.asked = threading.Event()

    def __hash__(self) -> int:
        self._by.add(threading.get_ident())
        if len(self._by) == self._threads:
            self.asked.set()
        return 1


def test_jobs_that_ask_before_the_first_has_it_get_one_and_the_same() -> None:
    calls: list[_Key] = []

    def make(key: _Key) -> object:
        calls.append(key)
        assert key.asked.wait(LIMIT_S)
        return object()

    made, key = Once(make), _Key(4)
    with ThreadPoolExecutor(4) as pool:
        found = {id(each) for each in pool.map(lambda _: made(key), range(4))}
    assert len(found) == 1
    assert calls == [key]


def test_who_asks_for_something_else_does_not_wait() -> None:
    begun, go = threading.Event(), threading.Event()

    def make(name: str) -> str:
        if name == "slow":
            begun.set()
            assert go.wait(LIMIT_S)
        return name

    made = Once(make)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(made, "slow")
        assert begun.wait(LIMIT_S)
        assert made("quick") == "quick"
        go.set()
        assert slow.result(LIMIT_S) == "slow"


def test_what_fails_is_tried_again() -> None:
    tries: list[int] = []

    def make() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not yet")
        return 5

    made = Once(make)
    with pytest.raises(OSError, match="not yet"):
        made()
    assert made() == made() == 5
    made.forget()
    assert made() == 5
    assert len(tries) == 3
