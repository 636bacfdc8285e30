"""`face2face replay` shows before it sends, sends what it showed, and guards against everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.support.handles import KafkaHandle, S3Handle
from tests.support.processes import free_port

GOOD = b'{"audio_url": "s3://bucket/a.wav", "video_url": "s3://bucket/v.mp4", "job_id": "j%d"}'
NO_BUCKET = (GOOD % 3)[:-1] + b', "output": {"bucket": "never-made"}}'


def _run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer.cli", "replay", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=120,
        check=False,
    )


def _replay(env: dict[str, str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = _run(env, "--json", *arguments)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
async def env(kafka: KafkaHandle, s3: S3Handle) -> dict[str, str]:
    """Two requests, a record that never was one, and a request for a bucket that is not there."""
    kafka.create_topics()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.servers)
    await producer.start()
    try:
        for value in (GOOD % 1, b"not json", NO_BUCKET, GOOD % 2):
            await producer.send_and_wait(kafka.topics.requests, value)
    finally:
        await producer.stop()
    return {**kafka.env, **s3.env}


async def _requests(kafka: KafkaHandle, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(
        kafka.topics.requests, bootstrap_servers=kafka.servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_dry_run_says_what_the_real_one_then_does(
    kafka: KafkaHandle, env: dict[str, str]
) -> None:
    code, planned = _replay(env, "--dry-run")
    assert code == 0
    assert planned[-1] == {"dry_run": True, "counts": {"render": 2, "skip": 2}}
    code, done = _replay(env, "--all")
    assert code == 0
    assert done[-1] == {"dry_run": False, "counts": {"render": 2, "skip": 2}}
    same = ("topic", "partition", "offset", "job_id", "outcome", "action", "reason")
    assert [[row[name] for name in same] for row in planned[:-1]] == [
        [row[name] for name in same] for row in done[:-1]
    ]
    assert [row for row in planned[:-1] if "'never-made' cannot be read" in row["reason"]]
    records = await _requests(kafka, 6)
    sent = [record for record in records if "f2f-replay-of" in dict(record.headers)]
    assert sorted(json.loads(record.value)["job_id"] for record in sent) == ["j1", "j2"]


def test_a_job_id_takes_that_job_s_requests_alone(env: dict[str, str]) -> None:
    code, rows = _replay(env, "--job-id", "j2", "--dry-run")
    assert code == 0
    assert [row.get("job_id") for row in rows[:-1]] == ["j2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--all"),
        (("--from", "yesterday"), "--from 'yesterday' is neither"),
        (("--from", "5"), "name the partition"),
        (("--from", "\u0665"), "is neither"),
        (("--from", "2026-12-01T10:00:00"), "has no zone"),
        (("--partition", "999", "--dry-run"), "no partition 999"),
    ],
)
def test_a_selection_that_cannot_work_is_exit_code_2(
    env: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    code, (answer,) = _replay(env, *arguments)
    assert code == 2
    assert said in answer["error"]["message"]


@pytest.mark.slow
def test_no_broker_ends_instead_of_waiting(env: dict[str, str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = _run(env | {"KAFKA_BOOTSTRAP_SERVERS": address}, "--all")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"BROKER_UNAVAILABLE (announce): no broker can be used at {address}: ")
    assert "Connect call failed" in line


def test_a_store_that_does_not_answer_is_one_line_with_the_settings_to_look_at(
    env: dict[str, str],
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    done = _run(env | {"S3_ENDPOINT": address}, "--dry-run")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("STORE_UNAVAILABLE (store): list prefix 'results/j")
    assert f"Check S3_ENDPOINT = {address}, S3_BUCKET = {env['S3_BUCKET']}, " in line
