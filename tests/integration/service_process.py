"""One `face2face run` as a process: what it answers, what it logs, and how it ends."""

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

from tests.support.handles import KafkaHandle
from tests.support.processes import die_with_parent, free_port, wait_until, whole_lines


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
        """How far it has come; empty while it does not answer."""
        return str(self.get("/health")[1].get("phase", ""))

    def until_phase(self, phase: str) -> None:
        """Wait for a phase."""
        wait_until(lambda: self.phase() == phase, 120, f"phase {phase!r}\n{self._log}")

    def events(self) -> list[str]:
        """What it has logged."""
        lines = whole_lines(self._log)
        return [json.loads(line)["event"] for line in lines if line.startswith("{")]

    def terminate(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@contextmanager
def service_on(
    kafka: KafkaHandle, folder: Path, changed: str = "", **env: str
) -> Iterator[Service]:
    """A service on a broker, killed on the way out; its log and data lie in the folder.

    Args:
        changed: a statement that it begins with.
        env: settings; unless they name a store, there is none at the service's address.
    """
    code = f"{changed}\nimport sys; sys.argv[1:] = ['run']; from consumer.cli import main; main()"
    begin = ["-c", code] if changed else ["-m", "consumer.cli", "run"]
    port = free_port()
    log = folder / "service.log"
    settings = {
        **kafka.env,
        "S3_ENDPOINT": "http://127.0.0.1:1",
        "S3_ACCESS_KEY": "a",
        "S3_SECRET_KEY": "unused-secret",
        "DUIX_DATA_DIR": str(folder / "data"),
        "F2F_HTTP_PORT": str(port),
        "F2F_DEVICES": "cpu",
        **env,
    }
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *begin],
            env={**os.environ, **settings},
            stderr=said,
            preexec_fn=die_with_parent,
        )
    try:
        yield Service(process, port, log)
    finally:
        process.kill()
        process.wait(120)
