"""A replica of the service as a process that a scenario starts, watches and kills."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.processes import die_with_parent, free_port, wait_until

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Replica:
    """One name, one port and one log, over any number of process lives."""

    def __init__(
        self, name: str, env: Mapping[str, str], folder: Path, prefix: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._env = dict(env)
        self._prefix = list(prefix)
        self._port = free_port()
        self._begins = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **env: str) -> None:
        """Start the process; it is ready some time later."""
        settings = {**self._env, "F2F_HTTP_PORT": str(self._port), **env}
        with self.log.open("ab") as log:
            self._begins = log.tell()
            self._process = subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "tests.chaos.service"],
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, "started before"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True while its process runs."""
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        """Process ids of its workers now."""
        found: list[int] = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in task.read_text().split()]
        return found

    def kill(self) -> None:
        """SIGKILL the parent and take its body away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(120)

    def kill_child(self) -> bool:
        """SIGKILL a worker; False when it has none now."""
        return self.signal_child(signal.SIGKILL)

    def signal_child(self, number: signal.Signals) -> bool:
        """Send a signal to the worker; False when there is none now."""
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                return True
        return False

    def terminate(self) -> None:
        """SIGTERM."""
        assert self._process is not None, "started before"
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """The exit code."""
        assert self._process is not None, "started before"
        return self._process.wait(timeout_s)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a path; status 0 while nobody answers."""
        try:
            with _OPENER.open(f"http://127.0.0.1:{self._port}{path}", timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {}
        except (OSError, ValueError):
            return 0, {}

    def metrics(self) -> str:
        """`/metrics`."""
        with _OPENER.open(f"http://127.0.0.1:{self._port}/metrics", timeout=60) as answer:
            return str(answer.read().decode())

    def facts(self) -> dict[str, Any]:
        """`/health`, or nothing."""
        return self.get("/health")[1]

    def wait_ready(self, timeout_s: float = 180.0) -> None:
        """Wait until it is a member, has a worker and reaches the store."""
        wait_until(self._ready, timeout_s, f"{self.name} ready, see {self.log}")

    def _ready(self) -> bool:
        assert self.alive, f"{self.name} ended: {self.tail()}"
        return self.get("/readyz")[0] == 200

    def rss(self) -> int:
        """Resident bytes of the parent."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def descriptors(self) -> int:
        """Open file descriptors of the parent."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def said(self, event: str) -> list[dict[str, Any]]:
        """Log lines of that event."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{") and f'"{event}"' in line:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return [line for line in found if line.get("event") == event]

    def said_since_start(self) -> bool:
        """True when this life of the process has logged anything."""
        return self.log.stat().st_size > self._begins

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def gone(pid: int) -> bool:
    """True when a process has ended (a zombie has)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")
