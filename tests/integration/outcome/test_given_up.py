"""A job that nobody wants, or that is too late, stops wherever it is and leaves nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer.workers import worker
from schemas.codes import ErrorCode
from tests.support.handles import S3Handle
from tests.support.work import (
    job_folders,
    make_job,
    put_inputs,
    replica,
    starts,
    until,
)


async def test_a_cancelled_job_stops_mid_render_and_is_failed(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CANCEL_GRACE_S", 60.0)
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 600})
    put_inputs(s3, {"log": str(log)}, name="short.wav")
    async with replica(s3, tmp_path) as one:
        running, waiting = make_job(s3, "running"), make_job(s3, "waiting")
        tasks = [asyncio.create_task(one.process(running))]
        await until(lambda: starts(log) == 1)
        tasks.append(asyncio.create_task(one.process(waiting)))
        await until(lambda: len(job_folders(tmp_path)) >= 5)  # its inputs are here already
        waiting.cancelled.set()
        assert (await tasks[1]).code is ErrorCode.CANCELLED
        running.cancelled.set()
        assert (await tasks[0]).code is ErrorCode.CANCELLED
        assert starts(log) == 1, "the waiting one never started"
        assert one.memory.kinds() == ["failed", "failed"]
        assert job_folders(tmp_path) == []
        assert (await one.process(make_job(s3, "next", name="short.wav"))).kind == "completed"
        assert one.processing.health()["workers"]["cpu"]["restarts"] == 0


async def test_a_render_that_does_not_listen_is_killed_when_cancelled(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 60, "deaf": True})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3)
        task = asyncio.create_task(one.process(job))
        await until(lambda: starts(log) == 1)
        job.cancelled.set()
        assert (await task).code is ErrorCode.CANCELLED
        assert one.processing.health()["workers"]["cpu"]["restarts"] == 1


async def test_deadlines_end_a_job_before_and_during_its_render(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 60})
    async with replica(s3, tmp_path) as one:
        past = make_job(s3, "past", deadline=datetime.now(UTC) - timedelta(seconds=1))
        assert (await one.process(past)).code is ErrorCode.DEADLINE_EXCEEDED
        assert starts(log) == 0
        soon = make_job(s3, "soon", deadline=datetime.now(UTC) + timedelta(seconds=2))
        assert (await one.process(soon)).code is ErrorCode.DEADLINE_EXCEEDED
        assert job_folders(tmp_path) == []


async def test_a_far_deadline_gives_a_render_no_more_time_than_any_other(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 60})
    async with replica(s3, tmp_path, F2F_JOB_TIMEOUT_S="1") as one:
        job = make_job(s3, deadline=datetime.now(UTC) + timedelta(days=1))
        assert (await one.process(job)).code is ErrorCode.DEADLINE_EXCEEDED
        assert starts(log) == 1
        assert one.memory.only("failed").error.detail["budget_s"] == 1.0


NO_WORKER = "tests.support.no_such_module:render"


@pytest.mark.parametrize("late", [False, True])
async def test_a_job_whose_worker_is_not_ready_hears_its_cancel_and_its_deadline(
    s3: S3Handle, tmp_path: Path, late: bool
) -> None:
    """It waited until a worker came, however long that was, and nobody was told anything."""
    put_inputs(s3, {})
    soon = datetime.now(UTC) + timedelta(seconds=1)
    job = make_job(s3, deadline=soon) if late else make_job(s3)
    code = ErrorCode.DEADLINE_EXCEEDED if late else ErrorCode.CANCELLED
    async with replica(s3, tmp_path / "waits", renderer=NO_WORKER) as one:
        task = asyncio.create_task(one.process(job))
        await until(lambda: one.processing.why_not_ready() is not None)
        if not late:
            job.cancelled.set()
        assert (await task).code is code
        assert one.processing.why_not_ready()
        assert one.memory.kinds() == ["failed"]
    async with replica(s3, tmp_path / "works") as two:
        again = await two.process(make_job(s3))
        assert (again.code, again.reused) == (code, True), "there is one outcome"


async def test_a_job_with_an_outcome_is_told_it_also_where_no_worker_is_ready(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path / "works") as one:
        assert (await one.process(make_job(s3))).kind == "completed"
    async with replica(s3, tmp_path / "waits", renderer=NO_WORKER) as two:
        job = make_job(s3)
        job.cancelled.set()
        verdict = await two.process(job)
    assert (verdict.kind, verdict.reused) == ("completed", True)


async def test_a_job_with_an_outcome_is_told_it_also_too_late_and_while_a_worker_starts(
    s3: S3Handle, tmp_path: Path
) -> None:
    """A replay of days later failed where it came first of all, beside the result."""
    put_inputs(s3, {})
    async with replica(s3, tmp_path / "works") as one:
        assert (await one.process(make_job(s3))).kind == "completed"
    for key in s3.keys("attempts/"):
        s3.client().remove_object(s3.bucket, key)  # as they expire after a day
    async with replica(s3, tmp_path / "starts") as two:
        assert two.processing.why_not_ready()
        verdict = await two.process(make_job(s3, deadline=datetime.now(UTC) - timedelta(days=1)))
    assert (verdict.kind, verdict.reused) == ("completed", True)


async def test_a_job_that_is_cancelled_while_its_mp4_goes_up_leaves_none_behind(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    job = make_job(s3)
    async with replica(s3, tmp_path) as one:
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        put_file = storage.put_file

        async def slow(*arguments: Any, **more: Any) -> Any:
            stored = await put_file(*arguments, **more)
            job.cancelled.set()
            await asyncio.Event().wait()
            return stored

        storage.put_file = slow
        verdict = await one.process(job)
    assert (verdict.kind, verdict.code) == ("failed", ErrorCode.CANCELLED)
    assert [key.rpartition(".")[2] for key in s3.keys("results/")] == ["json"]
