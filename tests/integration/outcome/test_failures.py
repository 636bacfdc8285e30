"""What can work later is tried again; what never can fails at once, and says why."""

from __future__ import annotations

import asyncio
import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer import processing
from consumer.metrics import STORE_WAITING
from consumer.store import patience
from schemas.codes import ErrorCode
from tests.integration.outcome.stored import manifest_of, marker_of
from tests.support import null_render_next
from tests.support.accounts import without
from tests.support.handles import S3Handle
from tests.support.work import (
    job_folders,
    make_job,
    put_inputs,
    replica,
    until,
)


async def test_retries_are_due_after_the_delays_of_the_settings(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {"error": "EngineFailed"})
    async with replica(s3, tmp_path) as one:
        for delay in (10, 60):
            begun = datetime.now(UTC)
            await one.process(make_job(s3))
            due: datetime = one.memory.told[-1][1][3]
            wait = timedelta(seconds=delay)
            assert begun + wait <= due <= datetime.now(UTC) + wait
        marker = marker_of(s3)
        assert (marker.attempt, marker.lease, marker.last_error) == (2, None, "ENGINE_FAILED")


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"error": "NoFace"}, ErrorCode.NO_FACE),
        ({"error": "InputUnreadable"}, ErrorCode.INPUT_UNREADABLE),
    ],
)
async def test_input_that_can_never_work_fails_at_once_without_a_dead_letter(
    s3: S3Handle, tmp_path: Path, plan: dict[str, Any], code: ErrorCode
) -> None:
    put_inputs(s3, plan)
    async with replica(s3, tmp_path) as one:
        verdict = await one.process(make_job(s3))
        assert (verdict.kind, verdict.code) == ("failed", code)
        assert one.memory.kinds() == ["failed"]
        assert manifest_of(s3).outcome == "failed"
        assert one.memory.event_ids == [manifest_of(s3).event_id]
        assert job_folders(tmp_path) == []


async def test_what_cannot_be_fetched_names_the_object_and_the_limit(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {"size": 10**30})  # a speech above the limit, beside a reference below it
    async with replica(s3, tmp_path, F2F_MAX_INPUT_BYTES=35) as one:
        cases = {
            "missing": (make_job(s3, "a", name="nothing.wav"), ErrorCode.INPUT_NOT_FOUND),
            "large": (make_job(s3, "b"), ErrorCode.INPUT_TOO_LARGE),
            "remote": (
                make_job(s3, "c", video_url="https://example.com/v.mp4?sig=secret"),
                ErrorCode.INPUT_FORBIDDEN,
            ),
            "bucket": (
                make_job(s3, "d", audio_url="s3://no-such-bucket-here/a.wav"),
                ErrorCode.INPUT_NOT_FOUND,
            ),
        }
        for name, (job, code) in cases.items():
            verdict = await one.process(job)
            assert (verdict.kind, verdict.code) == ("failed", code), name
        said = " ".join(event.error.message for _, event in one.memory.told)
        assert "inputs/nothing.wav" in said
        assert "the limit is 35" in said
        assert "secret" not in said


async def test_an_unknown_engine_is_refused_by_name(s3: S3Handle, tmp_path: Path) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        verdict = await one.process(make_job(s3, engine="nonesuch"))
        assert (verdict.kind, verdict.code) == ("failed", ErrorCode.UNKNOWN_ENGINE)
        assert "'nonesuch'" in one.memory.only("failed").error.message


async def test_a_job_that_an_absent_engine_failed_is_rendered_once_the_engine_is_there(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    job = make_job(s3, engine="wav2lip")
    async with replica(s3, tmp_path / "old") as old:
        assert (await old.process(job)).code is ErrorCode.UNKNOWN_ENGINE
    async with replica(s3, tmp_path / "new", renderer=null_render_next.RENDERER) as new:
        assert (await new.process(make_job(s3, engine="wav2lip"))).kind == "completed"


async def test_a_store_that_answers_and_takes_nothing_is_said(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full quota or a policy held all jobs beside a store that was called well."""
    monkeypatch.setattr(patience, "OVERDUE_S", 0.0)
    monkeypatch.setattr(processing, "CHECK_EVERY_S", 0.05)
    put_inputs(s3, {})
    async with replica(without(s3, "s3:PutObject"), tmp_path) as one:
        task = asyncio.create_task(one.process(make_job(s3)))

        def said() -> list[str]:
            found: list[str] = one.processing.health()["store"]["waiting"]
            return found

        await until(lambda: STORE_WAITING._value.get() == 1)
        assert "AccessDenied" in said()[0]
        assert one.processing.health()["store"]["ok"] is True
        task.cancel()
        await asyncio.wait((task,))
        assert said() == []
        await until(lambda: STORE_WAITING._value.get() == 0)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files"), ErrorCode.OUT_OF_MEMORY, "ulimit -n"),
        (RuntimeError("it is odd"), ErrorCode.INTERNAL, "RuntimeError: it is odd"),
    ],
)
async def test_what_an_input_failed_by_is_named_and_a_limit_of_open_files_is_no_defect(
    s3: S3Handle, tmp_path: Path, error: Exception, code: ErrorCode, said: str
) -> None:
    """Its event spoke of unhandled errors in a TaskGroup."""
    put_inputs(s3, {})
    async with replica(s3, tmp_path, F2F_MAX_ATTEMPTS=1) as one:

        async def fail(*_: Any) -> None:
            raise error

        one.processing.processor._storage.fetch = fail  # type: ignore[attr-defined]
        assert (await one.process(make_job(s3))).code is code
        assert said in one.memory.only("failed").error.message
