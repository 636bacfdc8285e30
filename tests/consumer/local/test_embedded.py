"""The embedded broker and store of `dev` and `demo`: what they can do, and that they go away."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from minio import Minio

from consumer.local.embedded import EmbeddedFailed, EmbeddedKafka, EmbeddedS3
from tests.consumer.command_line import error_of, face2face
from tests.support.processes import wait_until
from tests.support.s3 import http_answers


def _minio(server: EmbeddedS3) -> Minio:
    host = server.endpoint.partition("://")[2]
    return Minio(host, access_key=server.access_key, secret_key=server.secret_key, secure=False)


async def test_a_group_member_reads_commits_and_comes_back_to_its_place() -> None:
    with EmbeddedKafka() as broker:
        broker.make_topics(["jobs"])
        producer = AIOKafkaProducer(bootstrap_servers=broker.servers, enable_idempotence=True)
        await producer.start()
        for n in range(3):
            await producer.send_and_wait("jobs", b"%d" % n, partition=0)
        await producer.stop()
        assert await _read(broker.servers, 2) == [b"0", b"1"]
        assert await _read(broker.servers, 1) == [b"2"]


_SIGNALLED = """
import os, signal
from confluent_kafka.admin import AdminClient
from consumer.local.embedded import EmbeddedKafka

signal.signal(signal.SIGCHLD, lambda *_: None)  # as asyncio and others have it
with EmbeddedKafka() as broker:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # so that it has to go elsewhere
    os.kill(os.getpid(), signal.SIGCHLD)
    client = AdminClient({"bootstrap.servers": broker.servers, "log_level": 0})
    print(len(client.list_topics(timeout=10).brokers))
"""


def test_a_signal_to_its_process_leaves_the_broker_alive_and_it_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


async def _read(servers: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        "jobs",
        bootstrap_servers=servers,
        group_id="g",
        group_instance_id="replica-0",
        session_timeout_ms=6000,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        records = [await asyncio.wait_for(consumer.getone(), 120) for _ in range(count)]
        await consumer.commit({TopicPartition("jobs", 0): records[-1].offset + 1})
        return [record.value for record in records]
    finally:
        await consumer.stop()


def test_the_store_has_its_bucket_and_keeps_objects_until_it_ends() -> None:
    with EmbeddedS3("my-bucket") as store:
        client = _minio(store)
        client.put_object("my-bucket", "k", io.BytesIO(b"abc"), 3)
        assert client.stat_object("my-bucket", "k").size == 3
        endpoint = store.endpoint
        store.stop()
        assert not http_answers(endpoint, any_status=True)
        store.start()
        assert store.endpoint == endpoint
        assert list(client.list_objects("my-bucket")) == []


def test_a_port_in_use_is_said_with_the_server_s_own_words() -> None:
    with EmbeddedS3(None) as first:
        second = EmbeddedS3(None)
        second._port = first._port
        with pytest.raises(EmbeddedFailed, match=r"[Aa]ddress already in use"):
            second.start()


def test_without_its_extra_the_demo_says_what_to_install_and_blames_nobody(tmp_path: Path) -> None:
    hide = "import sys\nsys.modules['moto'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    done = face2face("demo", "--json", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    error = error_of(done)
    assert error["code"] == "INVALID_REQUEST"
    assert error["message"].endswith("pip install 'face2face[demo]'")


@pytest.mark.chaos
def test_the_store_ends_when_its_parent_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from consumer.local.embedded import EmbeddedS3\n"
        "s = EmbeddedS3(None); s.start(); print(s.endpoint, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    endpoint = parent.stdout.readline().strip()
    wait_until(lambda: http_answers(endpoint, any_status=True), 120, "an answer of the store")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not http_answers(endpoint, any_status=True), 120, "end of the store")


def test_the_child_leaves_ctrl_c_to_its_parent() -> None:
    with EmbeddedS3(None) as store:
        assert store._process is not None
        store._process.send_signal(signal.SIGINT)
        wait_until(lambda: http_answers(store.endpoint, any_status=True), 120, "an answer")


def test_the_demo_s_media_are_small_and_their_rights_are_written_down() -> None:
    folder = Path(__file__).parents[3] / "consumer" / "demo_assets"
    notes = (folder / "README.md").read_text(encoding="utf-8")
    media = [path for path in folder.iterdir() if path.suffix in (".mp4", ".flac")]
    assert len(media) == 2
    assert all(path.name in notes for path in media)
    assert sum(path.stat().st_size for path in media) < 1_000_000
