"""The doctor finds what is wrong around the service, each thing by itself, and says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumer.doctor import Finding, examine
from consumer.settings import load
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.processes import free_port


def _by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@pytest.fixture
def env(service_env: dict[str, str], kafka: KafkaHandle) -> dict[str, str]:
    kafka.create_topics()
    # Small inputs, so that no machine's disk is too small for this test.
    return service_env | {"F2F_MAX_INPUT_BYTES": "1000", "F2F_MIN_FREE_BYTES": "1"}


async def test_a_healthy_place_has_nothing_to_do_and_nothing_is_left_in_the_bucket(
    env: dict[str, str], s3: S3Handle
) -> None:
    found = await examine(load(env))
    assert [finding.state for finding in found] == ["ok"] * 4
    assert s3.keys() == []


async def test_no_broker_does_not_hide_the_store(env: dict[str, str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    found = _by_check(await examine(load(env | {"KAFKA_BOOTSTRAP_SERVERS": address})))
    assert found["kafka"].state == "bad"
    assert address in found["kafka"].text
    assert "KAFKA_BOOTSTRAP_SERVERS" in found["kafka"].advice
    assert found["store"].state == "ok"


async def test_missing_topics_are_named_with_the_command_that_makes_them(
    env: dict[str, str],
) -> None:
    found = _by_check(await examine(load(env | {"F2F_TOPIC_PREFIX": "nobody"})))
    assert found["topics"].state == "bad"
    assert "nobody.requests" in found["topics"].text
    assert "face2face topics apply" in found["topics"].advice


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"S3_ENDPOINT": "http://127.0.0.1:1"}, "no answer"),
        ({"S3_BUCKET": "face2face-of-nobody"}, "does not exist"),
    ],
)
async def test_a_store_that_cannot_be_used_is_said(
    env: dict[str, str], change: dict[str, str], said: str
) -> None:
    found = _by_check(await examine(load(env | change)))
    assert found["store"].state == "bad"
    assert said in found["store"].text
    assert found["kafka"].state == "ok"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"F2F_MIN_FREE_BYTES": str(2**62)}, "bad"),
        ({"F2F_MAX_INPUT_BYTES": str(2**60)}, "warn"),
    ],
)
async def test_a_disk_that_is_too_small_is_said(
    env: dict[str, str], change: dict[str, str], state: str
) -> None:
    found = _by_check(await examine(load(env | change)))
    assert found["disk"].state == state
    assert found["disk"].advice


@pytest.mark.slow
def test_the_command_says_everything_as_one_object_and_fails_when_something_is_bad(
    env: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "consumer.cli", "doctor", "--json"]
    no_bucket = os.environ | env | {"S3_BUCKET": "face2face-of-nobody"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=no_bucket, timeout=240, check=False
    )
    answer = json.loads(done.stdout)
    states = {check["check"]: check["state"] for check in answer["checks"]}
    assert done.returncode == 1
    assert answer["ok"] is False
    assert states["store"] == "bad"
    assert {"machine", "torch", "weights", "engines", "kafka", "topics", "disk"} <= set(states)
