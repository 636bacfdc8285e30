"""Every crash window only repeats later steps; an outage costs nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.codes import ErrorCode
from schemas.ids import event_id
from tests.integration.outcome.stored import manifest_of
from tests.support.handles import S3Handle
from tests.support.s3 import S3Process
from tests.support.work import (
    job_folders,
    make_job,
    put_inputs,
    replica,
    starts,
    until,
)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("kill", "renders", "attempt", "reused"),
    [
        ("marker", 1, 2, False),
        ("render", 2, 2, False),
        ("mp4", 1, 1, False),
        ("manifest", 1, 1, True),
        ("announce", 1, 1, True),
    ],
)
async def test_after_a_kill_only_later_steps_are_repeated(
    s3: S3Handle, tmp_path: Path, kill: str, renders: int, attempt: int, reused: bool
) -> None:
    log = tmp_path / "log"
    # Its progress, which tells the replica that it renders, comes once a second.
    put_inputs(s3, {"log": str(log), "sleep": 2.5 if kill == "render" else 0.2})
    job = make_job(s3)
    await _die_at(kill, s3, tmp_path, job.request.model_dump(mode="json"))
    async with replica(s3, tmp_path) as survivor:
        verdict = await survivor.process(job)
        assert (verdict.kind, verdict.attempt, verdict.reused) == ("completed", attempt, reused)
        assert starts(log) == renders
        manifest = manifest_of(s3)
        expected = event_id("job-1", manifest.render_id, "completed")
        assert survivor.memory.event_ids == [expected]
        output = survivor.memory.only("completed").output
        there = s3.client().get_object(s3.bucket, output.key)
        assert output.sha256 == hashlib.sha256(there.data).hexdigest()
        assert output.etag == there.headers["ETag"].strip('"')
        assert job_folders(tmp_path) == [], "what the dead replica left is swept"


async def _die_at(kill: str, s3: S3Handle, folder: Path, request: dict[str, Any]) -> None:
    env = {
        **s3.env,
        "DUIX_DATA_DIR": str(folder),
        "F2F_DEVICES": "cpu",
        "F2F_THREADS": "1",
        "F2F_LEASE_S": "1.5",
    }
    order = folder / "order.json"
    order.write_text(json.dumps({"env": env, "job": request, "kill": kill}), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.replica_main", str(order)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    _, said = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == -signal.SIGKILL, said.decode()[-2000:]


async def test_a_job_that_kills_its_worker_gets_its_attempts_and_is_failed_with_a_dead_letter(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "crash": int(signal.SIGSEGV)})
    async with replica(s3, tmp_path) as one:
        verdicts = [await one.process(make_job(s3)) for _ in range(3)]
        assert [(v.kind, v.attempt) for v in verdicts] == [
            ("retried", 1),
            ("retried", 2),
            ("failed", 3),
        ]
        assert starts(log) == 3
        assert one.memory.kinds() == ["retry", "retry", "dead_letter", "failed"]
        error = one.memory.only("failed").error
        assert error.code is ErrorCode.WORKER_CRASHED
        assert error.detail["end"] == "SIGSEGV"
        assert job_folders(tmp_path) == []
        again = await one.process(make_job(s3))
        assert (again.kind, again.reused, starts(log)) == ("failed", True, 3)
        assert one.memory.kinds()[4:] == ["failed"], "its dead letter is not repeated"
        events = [said for kind, said in one.memory.told if kind == "failed"]
        assert [event.reused for event in events] == [False, True]


async def test_the_store_may_die_during_a_render_and_nothing_is_rendered_twice(
    own_s3: S3Process, tmp_path: Path
) -> None:
    s3, log, gate = S3Handle.fresh(own_s3), tmp_path / "log", tmp_path / "gate"
    put_inputs(s3, {"log": str(log), "gate": str(gate)})
    async with replica(s3, tmp_path) as one:
        task = asyncio.create_task(one.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        own_s3.kill()
        gate.touch()
        await until(lambda: bool(list((tmp_path / "jobs").rglob("output.mp4"))))
        await until(lambda: one.processing.health()["store"]["ok"] is False)
        own_s3.start()
        verdict = await task
        assert (verdict.kind, verdict.attempt, starts(log)) == ("completed", 1, 1)
        assert job_folders(tmp_path) == []


async def test_a_store_that_is_away_at_the_start_is_waited_for(
    own_s3: S3Process, tmp_path: Path
) -> None:
    s3 = S3Handle.fresh(own_s3)
    put_inputs(s3, {})
    own_s3.kill()
    async with replica(s3, tmp_path) as one:
        task = asyncio.create_task(one.process(make_job(s3)))
        await until(lambda: one.processing.health()["workers"]["cpu"]["state"] == "ready")
        assert one.processing.why_not_ready()
        own_s3.start()
        verdict = await task
        assert (verdict.kind, verdict.attempt) == ("completed", 1)
        await until(lambda: one.processing.why_not_ready() is None)


async def test_a_defect_counts_as_an_attempt_and_disturbs_nobody(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {"defect": "a bug"})
    put_inputs(s3, {}, name="good.wav")
    async with replica(s3, tmp_path) as one:
        verdict = await one.process(make_job(s3))
        assert (verdict.kind, verdict.code) == ("retried", ErrorCode.INTERNAL)
        assert (await one.process(make_job(s3, "good", name="good.wav"))).kind == "completed"
        assert one.processing.health()["workers"]["cpu"]["restarts"] == 0
