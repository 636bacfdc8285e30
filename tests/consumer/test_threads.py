"""A pool of threads outlives a machine that has none to give."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from consumer.faults import Fault
from consumer.store.storage import Storage
from consumer.threads import DaemonPool
from tests.support.handles import S3Handle
from tests.support.work import settings_for

SIZE = 2


async def _at_the_limit(pool: DaemonPool, monkeypatch: pytest.MonkeyPatch, calls: int) -> list[Any]:
    """What becomes of calls while the machine gives no thread, as at a limit of processes."""
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        found: list[Any] = []
        for number in range(calls):
            try:
                found.append(await pool.submit(partial(abs, number)))
            except OSError as error:
                found.append(error)
        return found


async def test_a_pool_without_a_thread_says_so_and_works_when_there_are_some_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = DaemonPool(SIZE, "few")
    errors = await _at_the_limit(pool, monkeypatch, calls=SIZE + 1)
    assert [str(error) for error in errors] == ["[Errno 11] can't start new thread"] * (SIZE + 1)
    assert await pool.submit(lambda: "works") == "works"
    pool.close()


async def test_a_pool_that_cannot_grow_makes_do_with_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = DaemonPool(SIZE, "few")
    first = await pool.submit(lambda: "first")
    gate = threading.Event()
    held = pool.submit(gate.wait)
    waiting = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        waiting.append(pool.submit(lambda: "second"))
    gate.set()
    assert (first, await held, await waiting[0]) == ("first", True, "second")
    pool.close()


async def test_a_pool_that_could_not_grow_grows_when_there_are_threads_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stayed as narrow as it had been, and one call that hung held up all others."""
    pool = DaemonPool(SIZE, "few")
    await pool.submit(lambda: "one thread")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        await asyncio.gather(*(pool.submit(lambda: "in turn") for _ in range(5)))
    side_by_side = threading.Barrier(SIZE)
    await asyncio.gather(*(pool.submit(partial(side_by_side.wait, 120)) for _ in range(SIZE)))
    pool.close()


async def test_a_store_that_has_no_thread_for_files_is_not_called_well(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small calls had theirs since the start, so a replica said ready that could fetch nothing."""
    storage = Storage(settings_for(s3, tmp_path))
    await storage.stat(s3.bucket, "nothing")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        with pytest.raises(Fault, match="no thread for calls to the store"):
            await storage.check()
    await storage.check()
    storage.close()


def _refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
