"""`face2face run` as a process: it waits for its platform, and goes when it is asked to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.handles import KafkaHandle
from tests.support.kafka import ApacheKafka
from tests.support.processes import die_with_parent, free_port, wait_until, whole_lines

pytestmark = pytest.mark.slow


class Service:
    """A running `face2face run`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self._port = port
        self._log = log

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a path; status 0 while nobody listens."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._port}{path}", timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, {}

    def phase(self) -> str:
        return str(self.get("/health")[1].get("phase", ""))

    def until_phase(self, phase: str) -> None:
        wait_until(lambda: self.phase() == phase, 120, f"phase {phase!r}\n{self._log}")

    def events(self) -> list[str]:
        lines = whole_lines(self._log)
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@contextmanager
def _service(kafka: KafkaHandle, tmp_path: Path, **env: str) -> Iterator[Service]:
    port = free_port()
    log = tmp_path / "service.log"
    settings = {
        **kafka.env,
        "S3_ENDPOINT": "http://127.0.0.1:1",
        "S3_ACCESS_KEY": "a",
        "S3_SECRET_KEY": "unused-secret",
        "DUIX_DATA_DIR": str(tmp_path / "data"),
        "F2F_HTTP_PORT": str(port),
        "F2F_DEVICES": "cpu",
        **env,
    }
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer.cli", "run"],
            env={**os.environ, **settings},
            stderr=said,
            preexec_fn=die_with_parent,
        )
    try:
        yield Service(process, port, log)
    finally:
        process.kill()
        process.wait(120)


def test_it_waits_for_brokers_then_for_topics_and_stays_alive_meanwhile(
    own_kafka: ApacheKafka, tmp_path: Path
) -> None:
    kafka = KafkaHandle.fresh(own_kafka)
    own_kafka.kill()
    with _service(kafka, tmp_path) as service:
        service.until_phase("connecting to the brokers")
        assert service.get("/livez")[0] == 200
        assert service.get("/readyz")[0] == 503
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
    with _service(nowhere, tmp_path) as service:
        service.until_phase("connecting to the brokers")
        assert service.terminate() == 0


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    nowhere = KafkaHandle("none", "127.0.0.1:1", frozenset(), "t")
    with _service(nowhere, tmp_path) as first:
        first.until_phase("connecting to the brokers")
        env = {"F2F_HTTP_PORT": str(first._port)}
        with _service(nowhere, _made(tmp_path / "second"), **env) as second:
            assert second.process.wait(120) == 2


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
