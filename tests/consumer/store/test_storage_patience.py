"""A store that asks for patience is asked again, and no job fails of it."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.store.facts import NOTHING
from consumer.store.storage import Storage
from consumer.threads import DaemonPool
from schemas.codes import ErrorCode, Stage
from tests.consumer.store.calls import put_object
from tests.support.handles import S3Handle
from tests.support.toxic import toxic
from tests.support.work import settings_for


def _error(status: str, code: str) -> str:
    return f"{status}\n<?xml version='1.0'?><Error><Code>{code}</Code></Error>"


@pytest.mark.parametrize(
    "refusal",
    [
        _error("409 Conflict", "ConditionalRequestConflict"),
        _error("409 Conflict", "OperationAborted"),
        _error("429 Too Many Requests", "TooManyRequests"),
        _error("429 Too Many Requests", "AnotherWordForIt"),
        _error("400 Bad Request", "ThrottlingException"),
        "429 Too Many Requests",
    ],
)
async def test_a_store_that_asks_for_patience_is_asked_again_and_fails_no_job(
    refusal: str, s3: S3Handle, tmp_path: Path
) -> None:
    """A race for a key on AWS, or throttling, was taken for a refusal or a missing input."""
    ref = put_object(s3, "k", b"1")
    async with toxic(s3.endpoint) as proxy:
        storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        proxy.refusal, proxy.refuse = refusal, 2
        assert await storage.put(s3.bucket, "once", b"2", over=NOTHING) is not None
        storage._sdk.http.clear()
        proxy.refuse = 2
        fetched = await storage.fetch(ref, tmp_path / "got", 10)
        assert (fetched.size, proxy.refuse) == (1, 0)
        storage._sdk.file_http.clear()
        proxy.refuse = 100
        with pytest.raises(Fault) as caught:
            await storage.fetch(ref, tmp_path / "got", 10)
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        storage.close()


async def test_a_transfer_that_fails_after_its_job_was_cancelled_is_nobodys_error(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was logged as an error that nobody took, with a traceback, under load."""
    monkeypatch.setattr("consumer.store.storage.STOP_S", 0.0)
    begun, end, said = threading.Event(), threading.Event(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, told: said.append(told))
    storage, pool = Storage(settings_for(s3, tmp_path)), DaemonPool(1, "one")

    def fail() -> None:
        begun.set()
        end.wait(120)
        raise Fault.of(ErrorCode.INPUT_NOT_FOUND, Stage.FETCH, "it is not there")

    task = asyncio.create_task(storage._in_thread(pool, fail, threading.Event()))
    await asyncio.to_thread(begun.wait, 120)
    task.cancel()
    await asyncio.wait((task,))
    end.set()
    await storage._in_thread(pool, lambda: None)  # behind it
    pool.close()
    storage.close()
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert said == []
