"""Kafka by SASL/SCRAM over TLS and S3 over TLS, end to end, with secrets from files alone."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.background import in_background
from consumer.jobs import Record
from consumer.kafka import request_timeout
from consumer.kafka.client import connection
from consumer.kafka.control import Cancellations
from consumer.kafka.handler import Handler
from consumer.kafka.lag import LagWatch
from consumer.kafka.publisher import Publisher
from consumer.kafka.rights import needed
from consumer.kafka.subscriber import Intake
from consumer.processing import open_processor
from consumer.settings.load import load
from consumer.state import State
from schemas.codes import ErrorCode, Stage
from schemas.render import ErrorFacts
from tests.integration.lab import Work, job
from tests.support import packages, secure
from tests.support.capabilities import unavailable
from tests.support.certificates import Certificates, make
from tests.support.null_render import RENDERER
from tests.support.processes import die_with_parent, free_port, wait_until
from tests.support.secure import ADMIN, CALLER, PASSWORD, SERVICE, SecureKafka, SecureMinio, needs
from tests.support.work import Memory, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ASSETS = Path(__file__).parents[2] / "consumer" / "demo_assets"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def env(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Both servers, and the settings that reach them; secrets in files."""
    if not (packages.KAFKA.ready() and packages.MINIO.ready()):
        unavailable("Kafka and MinIO were not built: `make test-servers`")
    folder = tmp_path_factory.mktemp("secure")
    kafka = SecureKafka(packages.KAFKA.home, folder / "kafka", certificates)
    s3 = SecureMinio(folder / "s3", certificates)
    secrets = {"KAFKA_SASL_PASSWORD": PASSWORD, "S3_SECRET_KEY": s3.secret_key}
    for name, text in secrets.items():
        (folder / name).write_text(f"{text}\n", encoding="utf-8")
    try:
        kafka.start()
        s3.start()
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": SERVICE,
            "KAFKA_SSL_CA_FILE": str(certificates.ca),
            "S3_ENDPOINT": s3.endpoint,
            "S3_ACCESS_KEY": s3.access_key,
            "S3_CA_FILE": str(certificates.ca),
            "S3_BUCKET": "secure",
            "DUIX_DATA_DIR": str(folder / "data"),
            "F2F_DEVICES": "cpu",
            "F2F_THREADS": "2",
            **{f"{name}_FILE": str(folder / name) for name in secrets},
        }
        admin = env | {"KAFKA_SASL_USERNAME": ADMIN}
        assert _run(admin, "topics", "apply", "--replication-factor", "1")[0] == 0
        settings = load(env)
        kafka.allow(settings.topics, settings.kafka_group)
        yield env
    finally:
        kafka.kill()
        s3.kill()


def _run(env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "consumer.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def _service(env: dict[str, str], log: Path) -> Iterator[None]:
    port = free_port()
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer.cli", "run"],
            env={**os.environ, **env, "F2F_HTTP_PORT": str(port)},
            stderr=said,
            preexec_fn=die_with_parent,
        )

    def ready() -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_until(ready, 120, "service ready")
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait(120)


def test_a_job_goes_the_whole_way_over_secured_connections(
    env: dict[str, str], tmp_path: Path
) -> None:
    assert _run(env, "lifecycle", "apply", "--make-bucket")[0] == 0
    code, out, _ = _run(env, "doctor", "--json")
    states = {check["check"]: check["state"] for check in json.loads(out)["checks"]}
    assert states["topics"] == states["store"] == states["expiry"] == "ok"
    assert states["kafka"] in ("ok", "warn"), "warn: brokers of a busy machine answer late"
    assert code == 0
    log, mp4 = tmp_path / "service.log", tmp_path / "out.mp4"
    with _service(env, log):
        files = ("--audio", str(ASSETS / "speech.flac"), "--video", str(ASSETS / "reference.mp4"))
        caller = env | {"KAFKA_SASL_USERNAME": CALLER}
        code, out, said = _run(caller, "submit", *files, "-o", str(mp4), "--json")
    assert code == 0, out + said
    assert mp4.stat().st_size > 10_000
    (last,) = [json.loads(li) for li in out.splitlines() if '"event": "completed"' in li][-1:]
    assert last["data"]["download_url"].startswith("https://127.0.0.1:")
    secrets = [PASSWORD, Path(env["S3_SECRET_KEY_FILE"]).read_text("utf-8").strip()]
    assert [s for s in secrets if s in log.read_text("utf-8") + said] == []


async def test_the_doctor_names_what_acls_refuse_the_user_of_another_command(
    env: dict[str, str],
) -> None:
    from consumer.doctor import examine

    settings = load(env | {"KAFKA_SASL_USERNAME": CALLER})
    topics = settings.topics
    found = {each.check: each for each in await examine(settings)}
    access = found["access"]
    assert f"missing: {topics.retry}, {topics.dlq}" in found["topics"].text  # as it seems to it
    assert "Describe" in found["topics"].advice
    assert access.state == "bad"
    for lack in (
        f"Read on topic {topics.requests}",
        f"Write on topic {topics.completed}",
        f"Read on group {settings.kafka_group}",
    ):
        assert lack in access.text
    assert "Access" in access.advice


def test_the_doctor_asks_for_what_the_operators_book_says_that_the_service_needs(
    env: dict[str, str],
) -> None:
    settings = load(env)
    book = {
        f"{settings.topic_prefix}.{name}": {operation.upper() for operation in operations}
        for kind, names, operations in needs("run")
        for name in names
        if kind == "topic"
    }
    assert needed(settings) == book


async def test_a_large_dead_letter_goes_over_a_secured_connection(env: dict[str, str]) -> None:
    settings = load(env)
    value = random.Random(1).randbytes(3 * 512 * 1024)
    publisher = Publisher(settings)
    await publisher.start()
    error = ErrorFacts(
        code=ErrorCode.INVALID_REQUEST, stage=Stage.ADMIT, message="no request", retryable=False
    )
    record = Record(settings.topics.requests, 0, 5, b"large", value, (), 0)
    try:
        await asyncio.wait_for(publisher.dead_letter(record, "j", error, 0), 120)
    finally:
        await publisher.stop()
    admin = connection(load(env | {"KAFKA_SASL_USERNAME": ADMIN}))
    reader = AIOKafkaConsumer(settings.topics.dlq, **admin, auto_offset_reset="earliest")
    await reader.start()
    try:
        found = await asyncio.wait_for(reader.getone(), 120)
    finally:
        await reader.stop()
    assert (found.key, found.value) == (b"large", value)


async def test_a_group_that_was_forbidden_for_a_while_is_joined_again(env: dict[str, str]) -> None:
    """Its first refused heartbeat was told at every poll for ever, whatever ACLs said later."""
    settings = load({**env, "KAFKA_HEARTBEAT_S": "0.3"})
    admin = load(env | {"KAFKA_SASL_USERNAME": ADMIN})
    work = Work()
    handler = Handler(work, Cancellations(), settings.topics.retry)
    intake = Intake(settings, handler, lambda: 4)
    producer = AIOKafkaProducer(**connection(admin))
    await producer.start()
    try:
        await asyncio.wait_for(intake.start(), 120)
        with secure.group_forbidden(admin):
            await until(lambda: not intake.pump.member)
        await until(lambda: intake.pump.member)
        await producer.send_and_wait(settings.topics.requests, job(name="after it"))
        await work.until(lambda: any(j.request.metadata for j in work.jobs))
        await intake.pump.drain(120)
    finally:
        await intake.stop()
        await producer.stop()


async def test_a_password_that_is_changed_under_a_replica_is_said_and_makes_it_begin_anew(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It called brokers silent that refused it, for ever: it had the password of its start."""
    monkeypatch.setattr(request_timeout, "ANSWER_S", 1.0)
    monkeypatch.setattr("consumer.state.LOCKED_OUT_S", 0.0)
    settings, replica = load(env), State("a group")
    handler = Handler(Work(), Cancellations(), settings.topics.retry)
    intake = Intake(settings, handler, lambda: 4)
    replica.brokers = watch = LagWatch(intake.pump.assignment, every_s=0.1)

    def said() -> bool:
        return "Authentication failed" in (watch.trouble or "") and watch.locked_out_s > 0

    try:
        await asyncio.wait_for(intake.start(), 120)
        async with in_background({"lag": watch.run}):
            await until(lambda: watch.trouble is None)
            with secure.another_password(load(env | {"KAFKA_SASL_USERNAME": ADMIN})):
                assert intake.pump.assignment.consumer is not None
                for each in list(intake.pump.assignment.consumer._client._conns.values()):
                    each.close()
                await until(said)
                async with open_processor(settings, Memory(), renderer=RENDERER) as work:
                    replica.processing = work
                    async with work._fleet.slot():
                        assert replica.live() is None, "a render would be lost"
                    assert replica.live() is not None
                assert "the password that it began with" in (replica.live() or "")
            await until(lambda: watch.trouble is None)
            assert replica.live() is None
    finally:
        await intake.stop()


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        (
            {"KAFKA_SASL_PASSWORD_FILE": "", "KAFKA_SASL_PASSWORD": "wrong-one"},
            "kafka",
            "Authentication failed",
        ),
        ({"KAFKA_SSL_CA_FILE": ""}, "kafka", "CERTIFICATE_VERIFY_FAILED"),
        ({"S3_CA_FILE": ""}, "store", "certificate is not trusted"),
        ({"S3_SECRET_KEY_FILE": "", "S3_SECRET_KEY": "wrong-one"}, "store", "AccessDenied"),
    ],
)
async def test_a_server_that_is_not_the_right_one_is_refused_and_a_wrong_secret_not_shown(
    env: dict[str, str], change: dict[str, str], check: str, says: str
) -> None:
    from consumer.doctor import examine

    found = {finding.check: finding for finding in await examine(load({**env, **change}))}
    assert found[check].state == "bad", found[check]
    assert says in found[check].text + found[check].advice
    assert "wrong-one" not in str(found)


def test_secrets_come_from_files_and_are_shown_nowhere(env: dict[str, str]) -> None:
    settings = load(env)
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == PASSWORD
    shown: Any = (repr(settings), str(settings), settings.model_dump_json(), f"{settings!r}")
    for secret in (PASSWORD, settings.s3_secret_key.get_secret_value()):
        assert not any(secret in text for text in shown)
