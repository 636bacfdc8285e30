"""The whole service on this machine: embedded broker and store here, the real consumer as a child.

    this process      embedded broker (librdkafka's threads) unless another one was given,
    │                 the command's own work
    ├── store         consumer.local.embedded_s3, ends when this process ends
    ├── service       face2face run, exactly as in production, told where broker and store are
    │   └── worker    renders
    └── gateway       face2face gateway, where one is wanted

Whatever happens, nothing stays behind: gateway and service are asked to stop first, while broker
and store still answer, and then everything that is left is killed. Should this process itself be
killed, the kernel ends both (PR_SET_PDEATHSIG) and the store sees its pipe end.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from consumer.local.embedded import EmbeddedFailed, EmbeddedKafka, EmbeddedS3, NoRoom
from consumer.local.other_kafka import OtherKafka
from consumer.local.startable import Startable
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.topics import Topics

START_TIMEOUT_S = 120.0
"""A worker's first start imports torch from a cold disk."""
QUIET_S = 15.0
"""Wait after which it is said what is waited for."""
MOST_SAID = 2000
DRAIN_S = 5
STOP_GRACE_S = 5.0
"""Beyond the drain: the time to commit, leave the group and end."""
PR_SET_PDEATHSIG = 1
_OWN_NAMES = ("KAFKA_", "S3_")
_OWN = frozenset(
    {"F2F_TOPIC_PREFIX", "F2F_HTTP_HOST", "F2F_HTTP_PORT", "F2F_DRAIN_S", "DUIX_DATA_DIR"}
)

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Playground(Startable):
    """Broker, store and service, started in this order and stopped in the other.

    Args:
        folder: an existing folder for the service's scratch and log; the caller removes it.
        http_port: port of health and metrics; 0 picks one.
        gateway_port: port of a gateway beside the service; None starts none. With a gateway,
            inputs over http(s) from this machine are taken.
        kafka: brokers to use instead of the embedded one, host:port, comma-separated.
        on_wait: told what is not ready yet and why, where that takes long; for people, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        http_port: int = 0,
        gateway_port: int | None = None,
        kafka: str | None = None,
        on_step: Callable[[str], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.log = folder / "service.log"
        self.kafka = EmbeddedKafka() if kafka is None else OtherKafka(kafka)
        self.s3 = EmbeddedS3()
        self._folder = folder
        self._port = http_port or free_port()
        self._gateway_port = gateway_port
        self._on_step = on_step
        self._on_wait = on_wait
        self._service: subprocess.Popen[bytes] | None = None
        self._gateway: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The settings, as a client or the service needs them."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.servers,
            "S3_ENDPOINT": self.s3.endpoint,
            "S3_ACCESS_KEY": self.s3.access_key,
            "S3_SECRET_KEY": self.s3.secret_key,
            "S3_BUCKET": self.s3.bucket or "",
        }

    @property
    def settings(self) -> Settings:
        """The same, read."""
        return load(self.env)

    @property
    def health(self) -> str:
        """Address of the service's HTTP side."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def gateway(self) -> str | None:
        """Address of the gateway; None without one."""
        return None if self._gateway_port is None else f"http://127.0.0.1:{self._gateway_port}"

    def start(self) -> None:
        """Start everything; returns when the service has joined its group and its worker is ready.

        Raises:
            SettingsError: the user's own settings, which the service follows, cannot work.
            NoRoom: the service would take nothing here; nothing was started.
            EmbeddedFailed: a part did not come up; the text holds what it said.
            ClientFailed: the brokers that were given cannot be used.
        """
        self._check_place()
        try:
            self._on_step("broker")
            self.kafka.start()
            self.kafka.make_topics(Topics().all())
            self._on_step("store")
            self.s3.start()
            self._on_step("service")
            self._service = self._spawn("run")
            if self.gateway is not None:
                self._on_step("gateway")
                self._gateway = self._spawn("gateway")
                self._wait_ready(self._gateway, self.gateway, "gateway")
            self._wait_ready(self._service, self.health, "service")
        except BaseException:
            self.stop()
            raise

    def _check_place(self) -> None:
        least = load(self.service_env()).min_free_bytes
        free = shutil.disk_usage(self._folder).free
        if free < least:
            raise NoRoom(
                f"{self._folder.parent} has {free} bytes free, fewer than F2F_MIN_FREE_BYTES = "
                f"{least}: the service would take no request. Free some, or name a folder on "
                "another disk by TMPDIR"
            )

    def service_env(self) -> dict[str, str]:
        """The service's whole environment: the user's, but surroundings of its own."""
        kept = {name: value for name, value in os.environ.items() if not _is_own(name)}
        beside = {
            "F2F_GATEWAY_HOST": "127.0.0.1",
            "F2F_GATEWAY_PORT": str(self._gateway_port),
            "F2F_ALLOW_LOOPBACK_INPUTS": "1",
        }
        return {
            **kept,
            **self.env,
            **(beside if self._gateway_port is not None else {}),
            "F2F_HTTP_HOST": "127.0.0.1",
            "F2F_HTTP_PORT": str(self._port),
            "F2F_DRAIN_S": str(DRAIN_S),
            "DUIX_DATA_DIR": str(self._folder / "data"),
        }

    def _spawn(self, command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "consumer.cli", command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.service_env(),
                start_new_session=True,  # Ctrl-C is ours to pass on, once, as SIGTERM
                preexec_fn=_die_with_parent,
            )

    def _wait_ready(self, process: subprocess.Popen[bytes], url: str, what: str) -> None:
        began, told = time.monotonic(), ""
        while (why := _why_unready(f"{url}/readyz")) is not None:
            if process.poll() is not None:
                raise EmbeddedFailed(
                    f"the {what} ended with code {process.returncode}:\n{self.log_tail()}"
                )
            waited = time.monotonic() - began
            if waited > START_TIMEOUT_S:
                raise EmbeddedFailed(
                    f"the {what} is not ready after {START_TIMEOUT_S:g} s ({why}):\n"
                    f"{self.log_tail()}"
                )
            if waited > QUIET_S and why != told:
                told = why
                self._on_wait(f"the {what} is not ready yet: {why}")
            time.sleep(0.1)

    def wait(self) -> int:
        """Wait until the service or the gateway ends by itself; returns its exit code."""
        assert self._service is not None, "started before"
        while True:
            for process in (self._service, self._gateway):
                if process is not None and process.poll() is not None:
                    return process.returncode
            time.sleep(0.2)

    def ended(self) -> bool:
        """True when the service is gone."""
        return self._service is None or self._service.poll() is not None

    def stop(self) -> None:
        """Stop gateway, service, store and broker, in this order, and leave no process behind."""
        gateway, self._gateway = self._gateway, None
        service, self._service = self._service, None
        try:
            for process in (gateway, service):
                if process is not None:
                    _end(process)
        finally:
            self.s3.stop()
            self.kafka.stop()

    def log_tail(self, lines: int = 20) -> str:
        """The end of the service's log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def free_port(wanted: int = 0) -> int:
    """A port of loopback that nobody listens on now: `wanted` when it is free, else any.

    Raises:
        EmbeddedFailed: no port is free.
    """
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EmbeddedFailed("no free TCP port on 127.0.0.1")


def _is_own(name: str) -> bool:
    return name.startswith(_OWN_NAMES) or name.removesuffix("_FILE") in _OWN


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _why_unready(url: str) -> str | None:
    """What a probe says against its process; None when it is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return None if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        said = error.read(MOST_SAID).decode("utf-8", "replace").strip()
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return str(json.loads(said)["reason"])
        return said
    except OSError:
        return "it does not answer yet"


def _end(service: subprocess.Popen[bytes]) -> None:
    try:
        service.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.wait(DRAIN_S + STOP_GRACE_S)
    finally:  # also when a second Ctrl-C cuts the wait short
        with contextlib.suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGKILL)
        service.wait()
