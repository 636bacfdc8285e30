from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.once import Once

LIMIT_S = 120.0


def test_jobs_that_ask_together_get_one_and_the_same() -> None:
    asked = threading.Barrier(4)
    calls: list[int] = []

    def make(number: int) -> object:
        calls.append(number)
        return object()

    made = Once(make)

    def ask() -> object:
        asked.wait(LIMIT_S)
        return made(7)

    with ThreadPoolExecutor(4) as pool:
        found = {id(each) for each in pool.map(lambda _: ask(), range(4))}
    assert len(found) == 1
    assert calls == [7]


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


def test_who_asks_while_it_is_made_waits_for_that_one() -> None:
    begun, go = threading.Event(), threading.Event()
    calls: list[int] = []

    def make() -> object:
        calls.append(1)
        begun.set()
        assert go.wait(LIMIT_S)
        return object()

    made = Once(make)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(made)
        assert begun.wait(LIMIT_S)
        second = pool.submit(made)
        go.set()
        assert first.result(LIMIT_S) is second.result(LIMIT_S)
    assert len(calls) == 1


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
