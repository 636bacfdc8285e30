"""One outcome per job on a real store, whoever asks for it, and as often as they do."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.jobs import Record
from schemas.codes import ErrorCode, Stage
from schemas.ids import event_id
from tests.integration.outcome.stored import LASTING, manifest_of
from tests.support.handles import S3Handle
from tests.support.null_render import output_bytes
from tests.support.work import (
    VIDEO,
    job_folders,
    make_job,
    put_inputs,
    replica,
    starts,
    until,
)


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
        manifest = manifest_of(s3)
        assert manifest.completed is not None
        assert manifest.completed.download_url is None, "a signature was stored"
        assert one.memory.event_ids == [manifest.event_id]
        assert job_folders(tmp_path) == []


@pytest.mark.parametrize(("dots", "other"), [(".", "_._"), ("..", "_.._")])
async def test_ids_that_look_alike_in_keys_have_outcomes_of_their_own(
    s3: S3Handle, tmp_path: Path, dots: str, other: str
) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        for job_id in (dots, other, dots.replace(".", ".A"), dots.replace(".", ".a")):
            verdict = await one.process(make_job(s3, job_id))
            assert (verdict.kind, verdict.reused) == ("completed", False)
            assert one.memory.told[-1][1].job_id == job_id


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
        assert manifest_of(s3).outcome == "completed"
        ids = {each for one in replicas for each in one.memory.event_ids}
        assert ids == {manifest_of(s3).event_id}


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
        manifest = manifest_of(s3)
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
        assert manifest_of(s3) == manifest
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
        assert one.memory.event_ids == [event_id("r-7", "rejected", "failed")] * 2


async def test_an_outcome_that_a_later_release_recorded_is_announced_as_it_stands(
    s3: S3Handle, tmp_path: Path
) -> None:
    """After an upgrade that was taken back: such a job held its slot for ever."""
    put_inputs(s3, {"error": "NoFace"})
    async with replica(s3, tmp_path) as one:
        await one.process(make_job(s3))
        (key,) = (key for key in s3.keys("results/") if key.endswith(".json"))
        told = s3.client().get_object(s3.bucket, key).data
        later = told.replace(b'"NO_FACE"', b'"FACE_REFUSED"').replace(b'"generate"', b'"consent"')
        s3.client().put_object(s3.bucket, key, io.BytesIO(later), len(later))
        verdict = await one.process(make_job(s3))
        assert (verdict.kind, verdict.reused, verdict.code) == ("failed", True, "FACE_REFUSED")
        assert one.memory.told[-1][1].error.stage == "consent"
