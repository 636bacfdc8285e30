"""A real service says why it takes no work, and goes on by itself when the reason is gone."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from pathlib import Path

import pytest

from tests.integration.service_process import Service, service_on
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.processes import wait_until
from tests.support.s3 import S3Process

pytestmark = pytest.mark.slow


def _reason(service: Service) -> str:
    status, body = service.get("/readyz")
    return "" if status == 200 else str(body.get("reason"))


def test_a_store_that_goes_makes_it_unready_and_not_dead_until_it_is_back(
    kafka: KafkaHandle, own_s3: S3Process, tmp_path: Path
) -> None:
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    s3 = S3Handle.fresh(own_s3)
    with service_on(kafka, tmp_path, **s3.env) as service:
        wait_until(lambda: _reason(service) == "", 120, "ready")
        own_s3.kill()
        wait_until(lambda: "object store" in _reason(service), 120, "store is missed")
        assert service.get("/livez")[0] == 200
        health = service.get("/health")[1]
        assert health["status"] == "unhealthy"
        assert health["store"]["ok"] is False
        assert health["kafka"]["member"] is True
        own_s3.start()
        wait_until(lambda: _reason(service) == "", 120, "ready again")
        assert service.terminate() == 0


def test_a_disk_that_is_nearly_full_pauses_intake_and_says_so_by_its_setting(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path
) -> None:
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    env = {**s3.env, "F2F_MIN_FREE_BYTES": str(2**50)}
    with service_on(kafka, tmp_path, **env) as service:
        wait_until(lambda: "F2F_MIN_FREE_BYTES" in _reason(service), 120, "disk is said")
        health = service.get("/health")[1]
        assert health["disk"]["ok"] is False
        assert "F2F_MIN_FREE_BYTES" in health["kafka"]["intake"]
        assert service.get("/livez")[0] == 200
        assert "intake pauses" in service.events()
        assert service.terminate() == 0


def test_a_replica_whose_default_engine_lacks_files_names_the_command_and_pauses_its_intake(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path
) -> None:
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    env = {**s3.env, "F2F_WEIGHTS_DIR": str(tmp_path / "weights")}
    with service_on(kafka, tmp_path, **env) as service:
        command = "face2face weights pull faces"
        wait_until(lambda: command in _reason(service), 120, "the command is named")
        wait_until(lambda: "intake pauses" in service.events(), 120, "intake pauses")
        health = service.get("/health")[1]
        assert command in health["kafka"]["intake"]
        assert health["kafka"]["member"] is True
        assert service.get("/livez")[0] == 200
        assert service.terminate() == 0


def test_a_log_that_nobody_reads_stops_nothing(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path
) -> None:
    """A log driver that hung stopped the loop at its next line: no polls, no leases, no health."""
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    log = tmp_path / "service.log"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    end = os.open(log, os.O_WRONLY)
    fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 4096)
    env = {"F2F_LOG_LEVEL": "debug", **s3.env}
    with service_on(kafka, tmp_path, **env) as service:
        wait_until(lambda: not select.select([], [end], [], 0)[1], 120, "a full pipe")
        wait_until(lambda: _reason(service) == "", 120, "ready")
        assert service.get("/livez")[0] == 200
        assert service.terminate() == 0
    os.close(reader)
    os.close(end)


def test_a_request_topic_that_is_removed_is_named(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path
) -> None:
    from confluent_kafka.admin import AdminClient

    kafka.require(Can.GROUPS, Can.ADMIN)
    kafka.create_topics()
    admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
    soon = "from consumer.kafka import broker; broker.METADATA_MS = 2000"

    def names_it(reason: str) -> bool:  # the next one may be that the group was left
        return kafka.topics.requests in reason and "topics apply" in reason

    with service_on(kafka, tmp_path, soon, **s3.env) as service:
        wait_until(lambda: _reason(service) == "", 120, "ready")
        (gone,) = admin.delete_topics([kafka.topics.requests]).values()
        gone.result(timeout=120)
        wait_until(lambda: names_it(_reason(service)), 120, "the topic is missed")
        assert service.get("/livez")[0] == 200
        kafka.create_topics({kafka.topics.requests: 1})
        wait_until(lambda: _reason(service) == "", 120, "ready again")
        assert service.terminate() == 0


def test_of_two_replicas_with_one_name_in_the_group_one_ends_and_says_which_setting_is_wrong(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path
) -> None:
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    env = {**s3.env, "KAFKA_HEARTBEAT_S": "0.3", "KAFKA_GROUP_INSTANCE_ID": "pod-0"}
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with (
        service_on(kafka, folders[0], **env) as first,
        service_on(kafka, folders[1], **env) as second,
    ):
        pair = (first, second)
        wait_until(lambda: any(s.process.poll() is not None for s in pair), 120, "one ends")
        ((ended, folder),) = [
            (s, f) for s, f in zip(pair, folders, strict=True) if s.process.poll() is not None
        ]
        (stays,) = [s for s in pair if s is not ended]
        assert ended.process.wait(120) == 2
        assert "a twin is in the group; this replica ends" in ended.events()
        last = (folder / "service.log").read_text().splitlines()[-1]
        assert "KAFKA_GROUP_INSTANCE_ID = 'pod-0'" in last
        wait_until(lambda: _reason(stays) == "", 120, "the other works on")
        assert stays.terminate() == 0


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_drains_a_service_unless_it_was_told_to_ignore_that(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path, ignored: bool
) -> None:
    kafka.create_topics()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with service_on(kafka, tmp_path, **s3.env) as service:
            wait_until(lambda: "takes part in the group" in service.events(), 120, "ready")
            service.process.send_signal(signal.SIGHUP)
            if not ignored:
                assert service.process.wait(120) == 0
                assert "drained" in service.events()
            else:
                assert service.get("/livez")[0] == 200
                assert service.terminate() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_scratch_of_a_dead_process_is_gone_after_the_next_start(
    kafka: KafkaHandle, s3: S3Handle, tmp_path: Path
) -> None:
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    jobs = tmp_path / "data" / "jobs"
    with service_on(kafka, tmp_path, **s3.env) as first:
        wait_until(lambda: jobs.is_dir() and any(jobs.iterdir()), 120, "scratch is there")
        (dead,) = jobs.iterdir()
        (dead / "0-left-behind").mkdir()
        first.process.kill()
        first.process.wait(120)
    assert (dead / "0-left-behind").exists()
    with service_on(kafka, tmp_path, **s3.env) as second:
        wait_until(lambda: not dead.exists(), 120, "what the dead one left is gone")
        assert second.terminate() == 0
    assert list(jobs.iterdir()) == []
