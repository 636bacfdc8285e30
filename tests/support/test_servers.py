"""The servers that all other tests stand on do what the fixtures promise."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from minio.error import S3Error

from tests.support import packages
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.kafka import ApacheKafka, KafkaCluster
from tests.support.processes import ServerFailed, ServerProcess, free_port, wait_until
from tests.support.s3 import S3Process


async def _round_trip(servers: str, topic: str, values: list[bytes]) -> list[bytes]:
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=f"{topic}-g", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), 120)).value for _ in values]
    finally:
        await consumer.stop()


async def test_a_record_sent_to_the_broker_comes_back(kafka: KafkaHandle) -> None:
    kafka.create_topics({kafka.topics.requests: 1})
    got = await _round_trip(kafka.servers, kafka.topics.requests, [b"a", b"b"])
    assert sorted(got) == [b"a", b"b"]


def test_topics_have_the_partitions_that_were_asked_for(kafka: KafkaHandle) -> None:
    kafka.require(Can.ADMIN)
    kafka.create_topics({kafka.topics.requests: 6})
    from confluent_kafka.admin import AdminClient

    found = AdminClient({"bootstrap.servers": kafka.servers}).list_topics(timeout=120).topics
    assert len(found[kafka.topics.requests].partitions) == 6


def test_every_store_keeps_an_object_and_starts_with_an_empty_bucket(every_s3: S3Handle) -> None:
    assert every_s3.keys() == []
    client = every_s3.client()
    client.put_object(every_s3.bucket, "inputs/a", io.BytesIO(b"speech"), 6)
    assert every_s3.keys() == ["inputs/a"]
    answer = client.get_object(every_s3.bucket, "inputs/a")
    try:
        assert answer.read() == b"speech"
    finally:
        answer.close()
        answer.release_conn()


def test_every_store_refuses_a_wrong_secret_where_it_says_that_it_checks(
    every_s3: S3Handle,
) -> None:
    if Can.SIGNATURES not in every_s3.capabilities:
        pytest.skip(f"{every_s3.name} checks no signatures, and says so")
    from minio import Minio

    host = every_s3.endpoint.partition("://")[2]
    thief = Minio(
        host, access_key=every_s3.access_key, secret_key="wrong", secure=False, region="us-east-1"
    )
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        thief.list_buckets()


async def test_a_killed_broker_keeps_its_records(own_kafka: ApacheKafka) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": own_kafka.servers, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(timeout=120)
    assert await _round_trip(own_kafka.servers, "kept", [b"1"]) == [b"1"]
    own_kafka.kill()
    own_kafka.start()
    assert sorted(await _round_trip(own_kafka.servers, "kept", [b"2"])) == [b"2"]


def test_a_killed_store_keeps_its_objects(own_s3: S3Process) -> None:
    handle = S3Handle.fresh(own_s3)
    handle.client().put_object(handle.bucket, "k", io.BytesIO(b"v"), 1)
    own_s3.kill()
    own_s3.start()
    assert handle.keys() == ["k"]


@pytest.mark.slow
async def test_a_cluster_of_three_serves_while_one_broker_is_down(tmp_path: Path) -> None:
    if not packages.KAFKA.ready():
        from tests.support.capabilities import unavailable

        unavailable("Apache Kafka was not built: `make test-servers`")
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    cluster = KafkaCluster(packages.KAFKA.home, tmp_path)
    cluster.start()
    try:
        admin = AdminClient({"bootstrap.servers": cluster.servers, "log_level": 0})
        admin.create_topics([NewTopic("t", 1, 3)])["t"].result(timeout=120)
        cluster.nodes[0].kill()
        assert await _round_trip(cluster.servers, "t", [b"x"]) == [b"x"]
    finally:
        cluster.stop()


def test_a_server_that_ends_while_it_starts_is_reported_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such disk'); raise SystemExit(3)"]
    server = ServerProcess("broken", command, tmp_path / "log", lambda: False)
    with pytest.raises(ServerFailed, match="no such disk"):
        server.start(10)


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("PDEATHSIG is Linux's")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from tests.support.processes import ServerProcess\n"
        "server = ServerProcess('s', ['sleep', '60'], Path(sys.argv[1]), lambda: True)\n"
        "server.start(); print(server.pid, flush=True); os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    pid = int(done.stdout)
    wait_until(lambda: _ended(pid), 120, "end of the orphan")


def _ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in ("Z", "X")


def test_free_ports_are_loopback_ports_below_the_ephemeral_range() -> None:
    assert 20_000 <= free_port() < 32_000


def test_building_servers_never_fails_the_run_where_tools_are_missing(tmp_path: Path) -> None:
    env = {**os.environ, "PATH": str(tmp_path), "F2F_SERVER_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "tests.support.servers"]
    lenient = subprocess.run(
        [*command, "--if-possible"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert lenient.returncode == 0
    assert "needs java, mvn" in lenient.stderr
    assert subprocess.run(
        command, env=env, capture_output=True, timeout=120, check=False
    ).returncode


def test_a_broken_build_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F2F_SERVER_CACHE", str(tmp_path))

    def build(target: Path) -> None:
        (target / "half").touch()
        raise packages.BuildFailed("disk is full")

    package = packages.Package("x", "1", (), "nothing", build)
    with pytest.raises(packages.BuildFailed):
        packages.ensure(package, lambda _: None)
    assert not package.ready()
    assert [p.name for p in (tmp_path / "x").iterdir()] == [".1.lock"]
