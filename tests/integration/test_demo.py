"""What a newcomer types works: `face2face demo` ends with an MP4, `dev` serves Kafka clients."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from minio import Minio

from schemas.events import Completed
from tests.support.kafka import ApacheKafka
from tests.support.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ASSETS = Path(__file__).parents[2] / "consumer" / "demo_assets"
COMMAND = [sys.executable, "-m", "consumer.cli"]


def _descendants(pid: int) -> set[int]:
    """Every process below one, by /proc."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found |= {child, *_descendants(child)}
    return found


def _running(pids: set[int]) -> set[int]:
    """Those that still are, zombies aside."""
    alive = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                alive.add(pid)
    return alive


def _check_mp4(path: Path, completed: Completed) -> None:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = sum(1 for _ in container.decode(video))
    with av.open(str(path)) as container:
        assert container.streams.audio, "the speech is in it"
    assert frames == completed.media.frames
    assert (video.width, video.height) == (completed.media.width, completed.media.height)


def test_the_demo_ends_with_an_mp4_and_tells_each_event_on_the_way(tmp_path: Path) -> None:
    mp4 = tmp_path / "out" / "demo.mp4"
    done = subprocess.run(
        [*COMMAND, "demo", "--json", "-o", str(mp4)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    *events, last = lines
    assert last == {"demo": "ok", "mp4": str(mp4), "job_id": events[0]["job_id"]}
    assert events[0]["event"] == "sent"
    assert events[-1]["event"] == "completed"
    # none where a machine is done before the first sign of life is due
    assert {event["event"] for event in events[1:-1]} <= {"progress"}
    completed = Completed.model_validate(events[-1]["data"])
    assert completed.job_id == last["job_id"]
    assert mp4.stat().st_size == completed.output.size
    _check_mp4(mp4, completed)
    assert str(mp4) in done.stderr


Dev = tuple[subprocess.Popen[str], dict[str, Any]]


@contextlib.contextmanager
def _dev(*options: str) -> Iterator[Dev]:
    """`face2face dev --json`, when it is ready; interrupted in the end if it still runs."""
    process = subprocess.Popen(
        [*COMMAND, "dev", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.strip():
            _, said = process.communicate(timeout=120)
            pytest.fail(f"dev did not get ready: {said}")
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


@pytest.fixture
def playground() -> Iterator[Dev]:
    """`face2face dev` on its embedded servers."""
    with _dev() as dev:
        yield dev


def _upload(s3: dict[str, str]) -> None:
    store = _store(s3)
    for name in ("speech.flac", "reference.mp4"):
        store.fput_object(s3["bucket"], f"mine/{name}", str(ASSETS / name))


def _store(s3: dict[str, str]) -> Minio:
    return Minio(
        s3["endpoint"].partition("://")[2],
        access_key=s3["access_key"],
        secret_key=s3["secret_key"],
        secure=False,
    )


async def test_any_client_sends_two_locations_and_the_completed_event_tells_everything(
    playground: Dev, tmp_path: Path
) -> None:
    process, ready = playground
    assert set(ready) == {"kafka", "s3", "gateway"}
    assert set(ready["s3"]) == {"endpoint", "access_key", "secret_key", "bucket"}
    assert ready["gateway"].startswith("http://127.0.0.1:")
    s3 = ready["s3"]
    _upload(s3)
    completed = await _minimal_message(ready["kafka"], s3["bucket"])

    output = tmp_path / "out.mp4"
    _store(s3).fget_object(completed.output.bucket, completed.output.key, str(output))
    _check_mp4(output, completed)
    assert completed.download_url is not None
    assert completed.attempt == 1
    assert not completed.reused
    assert completed.engine.name == "viseme"

    below = _descendants(process.pid)
    assert below, "broker and store aside, the service is a child"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    wait_until(lambda: not _running(below), 120, "end of every process below")


async def test_dev_makes_its_topics_on_a_broker_that_is_given_and_leaves_it_running(
    own_kafka: ApacheKafka,
) -> None:
    with _dev("--kafka", own_kafka.servers) as (process, ready):
        assert ready["kafka"] == own_kafka.servers
        _upload(ready["s3"])
        completed = await _minimal_message(own_kafka.servers, ready["s3"]["bucket"])
        assert completed.media.frames > 0
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130, said
    client = AIOKafkaAdminClient(bootstrap_servers=own_kafka.servers)
    await client.start()
    try:
        [topic] = await client.describe_topics(["face2face.requests"])
    finally:
        await client.close()
    assert len(topic["partitions"]) == 12, "as deploy/topics.yaml has it"


def test_dev_says_which_broker_does_not_answer() -> None:
    done = subprocess.run(
        [*COMMAND, "dev", "--json", "--kafka", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "BROKER_UNAVAILABLE"
    assert "127.0.0.1:1" in error["message"]


async def _minimal_message(servers: str, bucket: str) -> Completed:
    """Send a bare JSON value without key or headers, as a stranger would; wait for its outcome."""
    listener = AIOKafkaConsumer(
        "face2face.completed",
        "face2face.failed",
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await listener.start()
    await producer.start()
    try:
        value = {
            "audio_url": f"s3://{bucket}/mine/speech.flac",
            "video_url": f"s3://{bucket}/mine/reference.mp4",
        }
        await producer.send_and_wait("face2face.requests", json.dumps(value).encode())
        record = await listener.getone()
        assert record.topic == "face2face.completed", record.value
        return Completed.model_validate_json(record.value)
    finally:
        await producer.stop()
        await listener.stop()


async def test_submit_brings_the_mp4_and_a_job_that_cannot_work_says_why(
    playground: Dev, tmp_path: Path
) -> None:
    _, ready = playground
    s3 = ready["s3"]
    env = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": ready["kafka"],
        "S3_ENDPOINT": s3["endpoint"],
        "S3_ACCESS_KEY": s3["access_key"],
        "S3_SECRET_KEY": s3["secret_key"],
        "S3_BUCKET": s3["bucket"],
    }
    mp4 = tmp_path / "mine.mp4"
    sent = [*COMMAND, "submit", "--json", "--video", str(ASSETS / "reference.mp4")]
    good = subprocess.run(
        [*sent, "--audio", str(ASSETS / "speech.flac"), "-o", str(mp4), "--job-id", "order-1"],
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
        check=False,
    )
    assert good.returncode == 0, good.stderr
    lines = [json.loads(line) for line in good.stdout.splitlines()]
    assert lines[-1] == {"job_id": "order-1", "mp4": str(mp4)}
    _check_mp4(mp4, Completed.model_validate(lines[-2]["data"]))

    # A video for speech: there is no sound in it, and there never will be.
    bad = subprocess.run(
        [*sent, "--audio", str(ASSETS / "reference.mp4"), "--wait"],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        check=False,
    )
    assert bad.returncode == 2, bad.stderr
    *_, failed, error = (json.loads(line) for line in bad.stdout.splitlines())
    assert failed["event"] == "failed"
    assert error["error"]["code"] == "NO_AUDIO"
