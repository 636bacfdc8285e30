"""The way of local files through the open interfaces: locations, outcomes, checked downloads."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from consumer.faults import Fault
from consumer.kafka.client import Event, connect
from consumer.local import round_trip
from consumer.local.console import CommandError, exit_code
from consumer.local.round_trip import bring, follow, provide
from consumer.settings import Settings
from consumer.settings.load import load
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.events import Completed
from schemas.request import RenderRequest
from tests.support.handles import KafkaHandle, S3Handle

GOLDEN = Path(__file__).parents[2] / "contract" / "golden" / "v1"
CONTENT = b"an MP4 of some bytes"


@pytest.fixture
async def storage(s3: S3Handle) -> AsyncIterator[Storage]:
    store = Storage(load(s3.env))
    yield store
    store.close()


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "my speech.WAV"
    path.write_bytes(CONTENT)
    return path


def _completed(bucket: str, **output: Any) -> Completed:
    value = json.loads((GOLDEN / "completed.full.json").read_text(encoding="utf-8"))
    value["output"] |= {
        "bucket": bucket,
        "key": "results/j/r.mp4",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        **output,
    }
    return Completed.model_validate(value)


async def test_a_file_gets_the_location_of_its_digest_and_keeps_its_suffix(
    storage: Storage, s3: S3Handle, speech: Path
) -> None:
    first = await provide(storage, s3.bucket, str(speech))
    again = await provide(storage, s3.bucket, str(speech))
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert first == again
    assert first == f"s3://{s3.bucket}/inputs/{digest}.wav"
    assert s3.keys() == [f"inputs/{digest}.wav"]


async def test_a_location_stays_as_it_is(storage: Storage, s3: S3Handle) -> None:
    location = "s3://other/a.wav"
    assert await provide(storage, s3.bucket, location) == location
    assert s3.keys() == []


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("/nowhere/a.wav", ErrorCode.INPUT_NOT_FOUND, "'/nowhere/a.wav' does not exist"),
        ("s3://Wrong_Bucket/a.wav", ErrorCode.INVALID_REQUEST, "bucket 'Wrong_Bucket'"),
        ("ftp://host/a.wav", ErrorCode.INVALID_REQUEST, "must start with s3://"),
    ],
)
async def test_what_can_never_work_is_said_before_anything_is_sent(
    storage: Storage, s3: S3Handle, given: str, code: ErrorCode, said: str
) -> None:
    with pytest.raises(Fault) as refused:
        await provide(storage, s3.bucket, given)
    assert refused.value.code is code
    assert said in refused.value.error.message


async def test_the_result_comes_whole_into_a_new_folder(
    storage: Storage, s3: S3Handle, tmp_path: Path
) -> None:
    await storage.put(s3.bucket, "results/j/r.mp4", CONTENT)
    path = await bring(storage, _completed(s3.bucket), tmp_path / "new" / "out.mp4")
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ({"sha256": "0" * 64}, ErrorCode.OUTPUT_INVALID),
        ({"size": 3}, ErrorCode.INPUT_TOO_LARGE),
        ({"key": "results/j/none.mp4"}, ErrorCode.INPUT_NOT_FOUND),
    ],
)
async def test_a_result_that_is_not_the_announced_one_leaves_no_file(
    storage: Storage, s3: S3Handle, tmp_path: Path, output: dict[str, Any], code: ErrorCode
) -> None:
    await storage.put(s3.bucket, "results/j/r.mp4", CONTENT)
    with pytest.raises(Fault) as refused:
        await bring(storage, _completed(s3.bucket, **output), tmp_path / "out" / "out.mp4")
    assert refused.value.code is code
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kept", [True, False])
async def test_a_disk_without_room_for_the_result_is_named_and_where_it_stays(
    storage: Storage, s3: S3Handle, tmp_path: Path, kept: bool
) -> None:
    await storage.put(s3.bucket, "results/j/r.mp4", CONTENT)
    (tmp_path / ".out.mp4.part").symlink_to("/dev/full")
    with pytest.raises(CommandError) as full:
        await bring(storage, _completed(s3.bucket), tmp_path / "out.mp4", kept=kept)
    assert full.value.error.code is ErrorCode.SCRATCH_FULL
    assert f"no room in '{tmp_path}' for {len(CONTENT)} bytes" in full.value.error.message
    assert ("stays in the store, s3://" in full.value.error.message) is kept
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [True, False])
async def test_a_folder_that_takes_no_file_any_more_is_named_and_where_the_result_stays(
    storage: Storage, s3: S3Handle, tmp_path: Path, kept: bool
) -> None:
    """It ended in a traceback, after the whole render."""
    await storage.put(s3.bucket, "results/j/r.mp4", CONTENT)
    (tmp_path / ".out.mp4.part").mkdir()
    with pytest.raises(CommandError) as refused:
        await bring(storage, _completed(s3.bucket), tmp_path / "out.mp4", kept=kept)
    assert exit_code(refused.value.error.code) == 2
    assert f"'{tmp_path / 'out.mp4'}' cannot be written: " in refused.value.error.message
    assert ("stays in the store, s3://" in refused.value.error.message) is kept


@pytest.fixture
def settings(kafka: KafkaHandle) -> Settings:
    kafka.create_topics()
    return load(kafka.env)


async def _say(settings: Settings, topic: str, name: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=list(settings.kafka_servers))
    await producer.start()
    try:
        await producer.send_and_wait(topic, (GOLDEN / name).read_bytes())
    finally:
        await producer.stop()


async def test_a_job_is_followed_to_its_completed_event(settings: Settings) -> None:
    seen: list[Event] = []
    async with connect(settings) as client:
        await _say(settings, settings.topics.progress, "progress.json")
        await _say(settings, settings.topics.completed, "completed.full.json")
        completed = await follow(client, "order-4711", 120, seen.append)
    assert completed.output.size == 1048576
    assert [event.kind for event in seen][-1] == "completed"


async def test_a_failed_job_ends_a_command_by_the_error_of_its_event(settings: Settings) -> None:
    request = RenderRequest(
        audio_url="s3://bucket/a.wav", video_url="s3://bucket/v.mp4", job_id="order-4711"
    )
    seen: list[Event] = []
    async with connect(settings) as client:
        await _say(settings, settings.topics.failed, "failed.full.json")
        with pytest.raises(CommandError) as failed:
            await follow(client, await client.submit(request), 120, seen.append)
    assert failed.value.code is ErrorCode.NO_FACE
    assert failed.value.error.detail == {"frames": 250}
    assert [event.kind for event in seen] == ["failed"]


async def test_who_waits_in_vain_is_told_what_that_may_mean_and_how_to_wait_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(round_trip, "QUIET_S", 0.0)
    async with connect(settings) as client:
        with pytest.raises(CommandError) as late:
            await follow(client, "order-4711", 0.5, lambda _: None)
    assert "nothing is heard of job order-4711 yet" in capsys.readouterr().err
    error = late.value.error
    assert error.code is ErrorCode.DEADLINE_EXCEEDED
    assert exit_code(error.code) == 1
    assert "within 0.5 s" in error.message
    assert "--job-id order-4711 and a longer --timeout" in error.message


async def test_a_job_of_which_something_was_heard_is_not_called_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(round_trip, "QUIET_S", 0.0)
    later = asyncio.Event()
    with round_trip._quiet("order-4711") as heard:
        heard()
        asyncio.get_running_loop().call_later(0.0, later.set)  # fires after the other one would
        await later.wait()
    assert capsys.readouterr().err == ""
