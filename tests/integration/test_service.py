"""`face2face run` as a process: it waits for its platform, and goes when it is asked to."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.integration.service_process import service_on
from tests.support.handles import KafkaHandle
from tests.support.kafka import ApacheKafka
from tests.support.processes import free_port, wait_until

pytestmark = pytest.mark.slow


def test_it_waits_for_brokers_then_for_topics_and_stays_alive_meanwhile(
    own_kafka: ApacheKafka, tmp_path: Path
) -> None:
    kafka = KafkaHandle.fresh(own_kafka)
    own_kafka.kill()
    with service_on(kafka, tmp_path) as service:
        service.until_phase("connecting to the brokers")
        assert service.get("/livez")[0] == 200
        assert service.get("/readyz")[0] == 503
        why = "connecting to the brokers: [Errno 111] Connect call failed"
        wait_until(lambda: why in str(service.get("/readyz")[1]), 120, "the reason")
        own_kafka.start()
        service.until_phase("waiting for topics")
        missing = "topics are missing; run `face2face topics apply`"
        wait_until(lambda: missing in service.events(), 120, "the word that topics are missing")
        kafka.create_topics()
        service.until_phase("running")
        assert service.get("/health")[1]["kafka"]["member"] is True
        assert service.get("/livez")[0] == 200
        assert service.terminate() == 0
    assert service.events()[-1] == "bye"


def test_a_signal_before_it_is_ready_ends_it_cleanly(tmp_path: Path) -> None:
    nowhere = KafkaHandle("none", f"127.0.0.1:{free_port()}", frozenset(), "t")
    with service_on(nowhere, tmp_path) as service:
        service.until_phase("connecting to the brokers")
        assert service.terminate() == 0


def test_its_parent_process_leaves_no_core_dump_with_credentials_in_it(tmp_path: Path) -> None:
    nowhere = KafkaHandle("none", f"127.0.0.1:{free_port()}", frozenset(), "t")
    with service_on(nowhere, tmp_path) as service:
        service.until_phase("connecting to the brokers")
        limits = Path(f"/proc/{service.process.pid}/limits").read_text(encoding="ascii")
        (cores,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        least = "0" if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 else "1"
        assert cores.split()[4:6] == [least] * 2, "0 is not asked where a program takes the dumps"


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    nowhere = KafkaHandle("none", "127.0.0.1:1", frozenset(), "t")
    with service_on(nowhere, tmp_path) as first:
        first.until_phase("connecting to the brokers")
        env = {"F2F_HTTP_PORT": str(first._port)}
        with service_on(nowhere, _made(tmp_path / "second"), **env) as second:
            assert second.process.wait(120) == 2


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
