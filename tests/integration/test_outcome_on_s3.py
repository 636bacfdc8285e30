"""One outcome per job on a real store: every crash window, races, outages, and nothing left."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer import outcome, worker
from consumer.faults import Fault
from consumer.jobs import Record
from consumer.replay import StoredOutcomes
from schemas.codes import ErrorCode, Stage
from schemas.ids import event_id
from schemas.manifest import AttemptMarker, Manifest
from tests.support import null_render_next
from tests.support.handles import S3Handle
from tests.support.null_render import output_bytes
from tests.support.s3 import S3Process
from tests.support.work import (
    VIDEO,
    job_folders,
    make_job,
    put_inputs,
    replica,
    starts,
    until,
)

LASTING: dict[str, Any] = {"F2F_LEASE_S": 9}
"""Where no holder dies: a busy machine takes longer for a renewal than a short lease lasts."""


def _manifest(s3: S3Handle) -> Manifest:
    keys = [key for key in s3.keys("results/") if key.endswith(".json")]
    assert len(keys) == 1, keys
    return Manifest.model_validate_json(s3.client().get_object(s3.bucket, keys[0]).data)


def _marker(s3: S3Handle) -> AttemptMarker:
    keys = [key for key in s3.keys("attempts/") if not key.endswith(".rendered.json")]
    assert len(keys) == 1, keys
    return AttemptMarker.model_validate_json(s3.client().get_object(s3.bucket, keys[0]).data)


async def test_a_job_becomes_an_mp4_a_manifest_and_an_event_that_tells_everything(
    s3: S3Handle, tmp_path: Path
) -> None:
    plan = {"sleep": 0.05, "say": "{this is no message}"}
    put_inputs(s3, plan)
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, metadata={"order": "4711"})
        verdict = await one.process(job)
        assert (verdict.kind, verdict.reused, verdict.attempt) == ("completed", False, 1)
        event = one.memory.only("completed")
        mp4 = output_bytes(json.dumps(plan).encode(), VIDEO)
        stored = s3.client().get_object(s3.bucket, event.output.key).data
        assert stored == mp4
        assert event.output.sha256 == hashlib.sha256(mp4).hexdigest()
        assert event.output.size == len(mp4)
        assert event.inputs["video"].sha256 == hashlib.sha256(VIDEO).hexdigest()
        assert event.metadata == {"order": "4711"}
        assert event.output.key in event.download_url
        manifest = _manifest(s3)
        assert manifest.completed is not None
        assert manifest.completed.download_url is None, "a signature was stored"
        assert one.memory.event_ids == [manifest.event_id]
        assert job_folders(tmp_path) == []


async def test_the_same_request_again_announces_the_stored_outcome_and_renders_nothing(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log)})
    async with replica(s3, tmp_path) as one:
        await one.process(make_job(s3))
        again = await one.process(make_job(s3))
        assert again.reused
        assert starts(log) == 1
        assert len(set(one.memory.event_ids)) == 1
        assert [event.reused for _, event in one.memory.told if _ == "completed"] == [False, True]
        anew = await one.process(make_job(s3, generation=1))
        assert not anew.reused
        assert starts(log) == 2
        assert len(set(one.memory.event_ids)) == 2


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
        manifest = _manifest(s3)
        expected = event_id("job-1", manifest.render_id, "completed")
        assert survivor.memory.event_ids == [expected]
        sha = hashlib.sha256(
            s3.client().get_object(s3.bucket, survivor.memory.only("completed").output.key).data
        ).hexdigest()
        assert survivor.memory.only("completed").output.sha256 == sha
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


async def test_five_copies_on_three_replicas_make_one_render_one_manifest_one_event_id(
    every_s3: S3Handle, tmp_path: Path
) -> None:
    s3, log = every_s3, tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 0.5})
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(replica(s3, tmp_path / str(n), **LASTING))
            for n in range(3)
        ]
        verdicts = await asyncio.gather(*(replicas[n % 3].process(make_job(s3)) for n in range(5)))
        assert {verdict.kind for verdict in verdicts} == {"completed"}
        assert [verdict.reused for verdict in verdicts].count(False) == 1
        assert starts(log) == 1
        assert _manifest(s3).outcome == "completed"
        ids = {each for one in replicas for each in one.memory.event_ids}
        assert ids == {_manifest(s3).event_id}


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
        marker = _marker(s3)
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
        assert _manifest(s3).outcome == "failed"
        assert one.memory.event_ids == [_manifest(s3).event_id]
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


async def test_an_output_bucket_that_does_not_exist_fails_the_job_and_is_found_again(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, output={"bucket": "no-such-bucket-here"})
        first, second = await one.process(job), await one.process(job)
        assert (first.code, first.reused) == (ErrorCode.STORE_DENIED, False)
        assert (second.code, second.reused) == (ErrorCode.STORE_DENIED, True)
        assert len(set(one.memory.event_ids)) == 1


async def test_a_prefix_that_the_store_takes_for_no_name_fails_its_job_and_holds_up_nobody(
    every_s3: S3Handle, tmp_path: Path
) -> None:
    s3, log = every_s3, tmp_path / "log"
    put_inputs(s3, {"log": str(log)})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, output={"prefix": "s" * 300})
        first, second = await one.process(job), await one.process(job)
        assert (first.reused, second.reused) == (False, True)
        if first.code is not None:  # a store without such limits has the MP4
            assert first.code is second.code is ErrorCode.INVALID_REQUEST
            assert "output.prefix" in str(one.memory.told[0])
            assert starts(log) == 0
        # one store has no file where a folder shall be and says so when the MP4 comes
        below = await one.process(make_job(s3, "job-2", output={"prefix": "inputs/speech.wav/"}))
        assert below.code in (None, ErrorCode.INVALID_REQUEST)
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        known = await StoredOutcomes(storage, s3.bucket)(job)
        assert [m.outcome for m in known] == [first.kind]


async def test_an_output_bucket_that_refuses_the_mp4_fails_the_job_for_good(
    s3: S3Handle, tmp_path: Path
) -> None:
    log, theirs = tmp_path / "log", f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {"log": str(log)})
    async with replica(s3, tmp_path) as one:
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        put_file = storage.put_file

        async def refuse(bucket: str, *args: Any, **more: Any) -> Any:
            if bucket == theirs:  # as a policy would that lets us read and not write
                raise Fault.of(ErrorCode.STORE_DENIED, Stage.STORE, "AccessDenied")
            return await put_file(bucket, *args, **more)

        storage.put_file = refuse
        job = make_job(s3, output={"bucket": theirs})
        first, second = await one.process(job), await one.process(job)
        assert (first.kind, first.code) == ("failed", ErrorCode.STORE_DENIED)
        assert (second.reused, starts(log)) == (True, 1)
        assert len(set(one.memory.event_ids)) == 1


async def test_results_may_go_to_another_bucket(s3: S3Handle, tmp_path: Path) -> None:
    theirs = f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, output={"bucket": theirs})
        assert [(await one.process(job)).reused for _ in range(2)] == [False, True]
        assert s3.keys("results/") == []
        found = s3.client().list_objects(theirs, prefix="results/", recursive=True)
        assert len(list(found)) == 2


async def test_output_goes_where_the_request_says(s3: S3Handle, tmp_path: Path) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        await one.process(make_job(s3, "..", output={"prefix": "Kunde Ü/50%+"}))
        keys = s3.keys("Kunde")
        assert len(keys) == 2
        assert all(key.startswith("Kunde Ü/50%+/results/_.._/") for key in keys)


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


async def test_a_replica_that_leaves_gives_the_lease_back_uncounted_and_says_nothing(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "LEAVE_S", 60.0)
    log, gate = tmp_path / "log", tmp_path / "gate"
    put_inputs(s3, {"log": str(log), "gate": str(gate)})
    async with replica(s3, tmp_path / "old", F2F_LEASE_S=600) as old:
        task = asyncio.create_task(old.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert old.memory.kinds() == []
        marker = _marker(s3)
        assert (marker.attempt, marker.lease) == (0, None)
        assert job_folders(tmp_path / "old") == []
        gate.touch()
        async with replica(s3, tmp_path / "new") as new:
            verdict = await new.process(make_job(s3))
            assert (verdict.kind, verdict.attempt) == ("completed", 1)


async def test_a_replica_that_lost_its_lease_stops_and_announces_what_the_other_made(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 3})
    short: dict[str, Any] = {
        "F2F_LEASE_S": 4
    }  # and yet long enough for the second one's own renewals
    async with (
        replica(s3, tmp_path / "a", **short) as first,
        replica(s3, tmp_path / "b", **short) as second,
    ):
        task = asyncio.create_task(first.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        # The first one's renewals stop reaching the store, as in a partition of the network.
        leases = first.processing.processor._leases  # type: ignore[attr-defined]
        put, away = leases.storage.put, True

        async def cut(bucket: str, key: str, data: bytes, **more: Any) -> Any:
            while away and key.startswith("attempts/"):
                await asyncio.sleep(0.05)
            return await put(bucket, key, data, **more)

        leases.storage.put = cut
        other = asyncio.create_task(second.process(make_job(s3)))
        await until(lambda: starts(log) == 2)
        away = False
        verdicts = [await task, await other]
        assert [verdict.kind for verdict in verdicts] == ["completed", "completed"]
        assert verdicts[1].attempt == 2
        ids = {*first.memory.event_ids, *second.memory.event_ids}
        assert ids == {_manifest(s3).event_id}
        assert len(first.memory.event_ids) == 1


async def test_replicas_of_two_engine_revisions_make_one_outcome_of_a_request(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 0.6})
    async with (
        replica(s3, tmp_path / "old", **LASTING) as old,
        replica(s3, tmp_path / "new", renderer=null_render_next.RENDERER, **LASTING) as new,
    ):
        first = asyncio.create_task(old.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        moved = await new.process(make_job(s3))  # its partition moved during the upgrade
        assert (moved.kind, moved.reused, (await first).kind) == ("completed", True, "completed")
        assert new.memory.event_ids == old.memory.event_ids == [_manifest(s3).event_id]
        for _ in range(2):  # the first look must leave the way to it as it was
            assert (await new.process(make_job(s3))).reused
        assert set(new.memory.event_ids) == set(old.memory.event_ids)
        again = await new.process(make_job(s3, generation=1))
        assert not again.reused, "asked for a render, it renders with what it has"
    assert starts(log) == 2


async def test_a_job_that_an_absent_engine_failed_is_rendered_once_the_engine_is_there(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    job = make_job(s3, engine="wav2lip")
    async with replica(s3, tmp_path / "old") as old:
        assert (await old.process(job)).code is ErrorCode.UNKNOWN_ENGINE
    async with replica(s3, tmp_path / "new", renderer=null_render_next.RENDERER) as new:
        assert (await new.process(make_job(s3, engine="wav2lip"))).kind == "completed"


async def test_a_replica_that_froze_before_its_manifest_writes_none_over_its_successors_head(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    holders: list[str] = []
    async with replica(s3, tmp_path) as one:
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        put, put_if_absent = storage.put, storage.put_if_absent

        async def frozen(bucket: str, key: str, data: bytes, **more: Any) -> Any:
            answer = await put(bucket, key, data, **more)
            if key.endswith(".rendered.json") and not holders:
                _take_over(s3)
                time.sleep(1.1 * one.settings.lease_s)  # the whole process stands still
            return answer

        async def seen(bucket: str, key: str, data: bytes) -> bool:
            lease = _marker(s3).lease
            holders.append(lease.owner if lease is not None else "nobody")
            return bool(await put_if_absent(bucket, key, data))

        storage.put, storage.put_if_absent = frozen, seen
        verdict = await one.process(make_job(s3))
    assert verdict.kind == "completed"
    assert len(holders) == 1
    assert "successor" not in holders[0]


def _take_over(s3: S3Handle) -> None:
    """Write the marker as a replica does that takes a stale lease, and then dies."""
    marker = _marker(s3)
    assert marker.lease is not None
    lease = marker.lease.model_copy(update={"owner": "successor/1/x", "token": "another"})
    data = marker.model_copy(update={"lease": lease}).model_dump_json().encode()
    (key,) = [key for key in s3.keys("attempts/") if not key.endswith(".rendered.json")]
    s3.client().put_object(s3.bucket, key, io.BytesIO(data), len(data))


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
        assert not one.processing.ready
        own_s3.start()
        verdict = await task
        assert (verdict.kind, verdict.attempt) == ("completed", 1)
        await until(lambda: one.processing.ready)


async def test_inputs_of_the_next_job_come_and_the_last_output_goes_while_a_render_runs(
    s3: S3Handle, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    put_inputs(s3, {"log": str(log), "gate": str(gate)})
    async with replica(s3, tmp_path) as one:
        first = asyncio.create_task(one.process(make_job(s3, "first")))
        await until(lambda: starts(log) == 1)
        second = asyncio.create_task(one.process(make_job(s3, "second")))
        await until(lambda: len(list((tmp_path / "jobs").rglob("video.mp4"))) == 2)
        assert not first.done(), "the first still renders while the second's inputs are here"
        assert starts(log) == 1
        gate.touch()
        assert {(await first).kind, (await second).kind} == {"completed"}


async def test_a_manifest_that_somebody_else_wrote_first_is_adopted(
    s3: S3Handle, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    put_inputs(s3, {"log": str(log), "gate": str(gate)})
    gate.touch()
    async with replica(s3, tmp_path) as one:
        await one.process(make_job(s3))
        gate.unlink()
        manifest = _manifest(s3)
        key = next(key for key in s3.keys("results/") if key.endswith(".json"))
        data = s3.client().get_object(s3.bucket, key).data
        s3.client().remove_object(s3.bucket, key)
        for marker in s3.keys("attempts/"):
            s3.client().remove_object(s3.bucket, marker)
        task = asyncio.create_task(one.process(make_job(s3)))
        await until(lambda: starts(log) == 2)
        s3.client().put_object(s3.bucket, key, io.BytesIO(data), len(data))
        gate.touch()
        verdict = await task
        assert verdict.reused
        assert _manifest(s3) == manifest
        assert set(one.memory.event_ids) == {manifest.event_id}


async def test_a_record_that_never_was_a_job_is_announced_and_kept(
    s3: S3Handle, tmp_path: Path
) -> None:
    record = Record("t", 0, 7, None, b"{", (), 0)
    error = Fault.of(ErrorCode.INVALID_REQUEST, Stage.ADMIT, "not JSON").error
    async with replica(s3, tmp_path) as one:
        processor = one.processing.processor
        verdicts = [await processor.reject(record, "r-7", error) for _ in range(2)]
        assert {verdict.kind for verdict in verdicts} == {"rejected"}
        assert one.memory.kinds() == ["dead_letter", "failed"] * 2
        assert len(set(one.memory.event_ids)) == 1


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
