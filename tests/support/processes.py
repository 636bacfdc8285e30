"""Server processes of tests: loopback ports, logs in files, and nothing left behind."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""`prctl(2)`: the kernel signals the child when the thread that started it ends."""

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerFailed(RuntimeError):
    """A server did not come up; the text holds the end of its log."""


def die_with_parent() -> None:
    """Have this process killed when its parent ends (Linux; elsewhere nothing happens).

    Meant for `preexec_fn`. Start servers from the main thread: the signal follows the thread.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A TCP port that nobody listens on at this moment, on loopback.

    Drawn below the range that the kernel hands to outgoing connections, so that no client of
    another test can sit on it before the server binds.
    """
    for port in _candidates():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFailed("no free TCP port between 20000 and 32000 on 127.0.0.1")


def _candidates() -> Sequence[int]:
    import random

    return random.SystemRandom().sample(range(20_000, 32_000), 200)


def wait_until(ready: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Ask `ready` again and again until it holds.

    Raises:
        TimeoutError: it did not within `deadline_s` seconds.
    """
    end = time.monotonic() + deadline_s
    while not ready():
        if time.monotonic() >= end:
            raise TimeoutError(f"{what} did not happen within {deadline_s:g} s")
        time.sleep(0.03)


def whole_lines(path: Path) -> list[str]:
    """Lines of a file that another process writes; the last one may be on its way."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1].splitlines()


class ServerProcess:
    """One server process that can be stopped, killed and started again on the same port and data.

    Args:
        name: what messages call it.
        command: program and arguments.
        log: file that stdout and stderr are appended to.
        ready: protocol check, called until it returns True.
        env: whole environment of the process; None inherits.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._ready = ready
        self._env = dict(env) if env is not None else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    def spawn(self) -> None:
        """Start the process without waiting for readiness."""
        if self._process is not None:
            raise ServerFailed(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                preexec_fn=die_with_parent,
            )

    def wait_ready(self, deadline_s: float = 180.0) -> None:
        """Wait until the protocol check passes.

        Raises:
            ServerFailed: the process ended, or the deadline passed.
        """
        try:
            wait_until(self._alive_and_ready, deadline_s, f"{self.name} ready")
        except TimeoutError as error:
            self.kill()
            raise ServerFailed(f"{error}\n{self.log_tail()}") from error

    def _alive_and_ready(self) -> bool:
        process = self._process
        if process is None or process.poll() is not None:
            self._process = None
            raise ServerFailed(f"{self.name} ended while it started\n{self.log_tail()}")
        return self._ready()

    def start(self, deadline_s: float = 180.0) -> None:
        """Start and wait until ready."""
        self.spawn()
        self.wait_ready(deadline_s)

    def stop(self, grace_s: float = 20.0) -> None:
        """Ask the server to end (SIGTERM), and kill it when it does not within `grace_s`."""
        self._end(signal.SIGTERM, grace_s)

    def kill(self) -> None:
        """End the server without a chance to tidy up (SIGKILL)."""
        self._end(signal.SIGKILL, 10.0)

    def _end(self, sig: signal.Signals, grace_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(sig)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(120)

    def log_tail(self, lines: int = 30) -> str:
        """The end of the server's log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])
