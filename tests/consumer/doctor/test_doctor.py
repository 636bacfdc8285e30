"""The doctor finds what is wrong around the service, each thing by itself, and says what to do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from consumer.commands import doctor as doctor_command
from consumer.doctor import brokers as doctor_brokers
from consumer.doctor import examine
from consumer.doctor.findings import Finding
from consumer.kafka.topics_apply import Change, admin, apply, partitions, plan
from consumer.kafka.topics_file import default_path, read
from consumer.settings.load import load
from consumer.store import lifecycle
from consumer.store.storage import Storage
from tests.pipeline.engines.duix.standin import container
from tests.support.accounts import without
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.processes import free_port


def _by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@pytest.fixture(autouse=True)
def busy_machines_are_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast this machine's broker answers is nothing that is tested here."""
    monkeypatch.setattr(doctor_brokers, "LATE_S", 60.0)


@pytest.fixture
def env(service_env: dict[str, str], kafka: KafkaHandle) -> dict[str, str]:
    kafka.create_topics()
    # Small inputs, so that no machine's disk is too small for this test.
    return service_env | {"F2F_MAX_INPUT_BYTES": "1000", "F2F_MIN_FREE_BYTES": "1"}


async def test_a_healthy_place_has_nothing_to_do_and_nothing_is_left_in_the_bucket(
    env: dict[str, str], kafka: KafkaHandle, s3: S3Handle
) -> None:
    kafka.require(Can.ADMIN)
    await _apply_all(env)
    found = await examine(load(env))
    assert {f.check: (f.state, f.text) for f in found if f.state != "ok"} == {}
    assert [f.check for f in found] == [
        *("kafka", "topics", "store", "expiry", "clock", "disk", "slots"),
    ]
    assert s3.keys() == []


async def _apply_all(env: dict[str, str]) -> None:
    """Topics and bucket as deploy/ has them."""
    settings = load(env)
    async with admin(settings) as client:
        wanted = read(default_path()).named(settings.topic_prefix)
        await apply(client, await plan(client, wanted, 1), 1)
        async with asyncio.timeout(120):  # brokers show a change of configs a little later
            while any(c.action != "keep" for c in await plan(client, wanted, 1)):
                await asyncio.sleep(0.1)
    storage = Storage(settings)
    rules = lifecycle.read(lifecycle.default_path())
    await lifecycle.apply(storage, settings.s3_bucket, rules)
    storage.close()


async def test_topics_and_rules_that_differ_from_the_files_are_said(
    env: dict[str, str], kafka: KafkaHandle, s3: S3Handle
) -> None:
    kafka.require(Can.ADMIN)
    s3.require(Can.LIFECYCLE)
    async with admin(load(env)) as client, asyncio.timeout(120):
        while not set(kafka.topics.all()) <= set(await partitions(client)):
            await asyncio.sleep(0.1)
    found = _by_check(await examine(load(env)))
    assert found["topics"].state == "warn"
    assert f"{kafka.topics.requests} has 1 of 12 partitions" in found["topics"].text
    assert "max.message.bytes=2097152 is wanted" in found["topics"].text
    assert found["expiry"].state == "warn"
    assert "inputs/ 1 d (no rule)" in found["expiry"].text
    assert "lifecycle apply" in found["expiry"].advice


async def test_a_topic_that_takes_no_outcome_is_bad_and_not_only_different(
    env: dict[str, str], kafka: KafkaHandle
) -> None:
    kafka.require(Can.ADMIN)
    settings = load(env)
    small = {"max.message.bytes": "2000"}
    async with admin(settings) as client, asyncio.timeout(120):
        await apply(client, [Change(kafka.topics.completed, "configure", 1, 1, small)], 1)
        while (topics := _by_check(await examine(settings))["topics"]).state != "bad":
            await asyncio.sleep(0.1)
    assert f"{kafka.topics.completed}: an event may have 32768 bytes" in topics.text
    assert "face2face topics apply" in topics.advice


@pytest.mark.parametrize(("sweep", "state"), [("auto", "ok"), ("always", "ok"), ("off", "warn")])
async def test_a_store_without_rules_is_well_while_the_service_sweeps(
    env: dict[str, str], second_s3: S3Handle, sweep: str, state: str
) -> None:
    found = _by_check(await examine(load(env | second_s3.env | {"F2F_SWEEP": sweep})))
    assert found["expiry"].state == state


@pytest.mark.parametrize(
    ("seconds", "state", "word"), [(60, "warn", "behind"), (-3600, "bad", "ahead of")]
)
async def test_a_clock_that_differs_from_the_store_s_is_said(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, seconds: float, state: str, word: str
) -> None:
    ask = Storage.server_time

    async def wrong(self: Storage) -> datetime:
        return await ask(self) + timedelta(seconds=seconds)

    monkeypatch.setattr(Storage, "server_time", wrong)
    clock = _by_check(await examine(load(env)))["clock"]
    assert clock.state == state
    assert word in clock.text
    assert "NTP" in clock.advice


async def test_a_wrong_region_is_among_what_may_be_wrong(
    env: dict[str, str], second_s3: S3Handle
) -> None:
    wrong = second_s3.env | {"S3_REGION": "eu-nowhere-1"}
    store = _by_check(await examine(load(env | wrong)))["store"]
    assert (store.state, "S3_REGION" in store.advice) == ("bad", True)


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
    ("denied", "check", "said"),
    [
        ("s3:DeleteObject", "store", "remove object"),
        ("s3:GetLifecycleConfiguration", "expiry", "lifecycle of bucket"),
    ],
)
async def test_what_the_service_can_do_without_is_a_warning_and_names_what_is_refused(
    env: dict[str, str], s3: S3Handle, denied: str, check: str, said: str
) -> None:
    found = _by_check(await examine(load(env | without(s3, denied).env)))
    assert found[check].state == "warn"
    assert said in found[check].text
    assert "AccessDenied" in found[check].text
    assert not [each for each in found.values() if each.state == "bad" and each.check != "topics"]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"F2F_MIN_FREE_BYTES": str(2**50)}, "bad"),
        ({"F2F_MAX_INPUT_BYTES": str(2**50)}, "warn"),
    ],
)
async def test_a_disk_that_is_too_small_is_said(
    env: dict[str, str], change: dict[str, str], state: str
) -> None:
    found = _by_check(await examine(load(env | change)))
    assert found["disk"].state == state
    assert found["disk"].advice


@pytest.mark.parametrize("below", ["", "deeper/still"])
async def test_scratch_that_is_no_folder_is_said(
    env: dict[str, str], tmp_path: Path, below: str
) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    found = _by_check(await examine(load(env | {"DUIX_DATA_DIR": str(taken / below)})))
    assert found["disk"].state == "bad"
    assert f"{taken}" in found["disk"].text
    assert "no folder" in found["disk"].text


@pytest.mark.parametrize(("engine", "state"), [("duix", "bad"), ("viseme", "ok")])
def test_a_container_that_does_not_answer_is_bad_where_jobs_go_there_unasked(
    engine: str, state: str
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = doctor_command._duix(load({"F2F_ENGINE": engine, "DUIX_INTERNAL_URL": url}))
    assert (found.check, found.state) == ("duix", state)
    assert url in found.text
    assert ("DUIX_INTERNAL_URL" in found.advice) == (state == "bad")


def test_a_container_that_answers_is_said(tmp_path: Path) -> None:
    with container(tmp_path) as duix:
        found = doctor_command._duix(load({"F2F_ENGINE": "duix", "DUIX_INTERNAL_URL": duix.url}))
    assert (found.state, found.text) == ("ok", f"its container answers at {duix.url}")


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
