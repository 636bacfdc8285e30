"""Runs the gateway's app in uvicorn, on a socket that is bound first, so that errors are clear."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from consumer import telemetry
from consumer.http.gateway import make_app
from consumer.http.gateway_guard import CALLS
from consumer.http.idle_connections import TimedProtocol
from consumer.logs import configure
from consumer.settings import Settings

DRAIN_S = 10
"""Grace of running answers at SIGTERM; jobs go on without the gateway."""
ROOM = 200
"""Connections beyond the calls that are taken: probes, and calls that are told so."""
SILENT_S = 120
"""Who takes nothing of an answer for so long is given up, or would keep its call for ever."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where it listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The gateway's address, as http://host:port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class _Server(uvicorn.Server):
    """Tells when it serves, and ends by returning."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals once: uvicorn raises them again at its end.

        SIGTERM would end the process there, before its last log lines and traces are sent. SIGHUP
        stays ignored where it is, as by nohup.
        """
        deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heard = (signal.SIGTERM, signal.SIGINT, *(() if deaf else (signal.SIGHUP,)))
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(settings: Settings, on_ready: Callable[[Address], None]) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP.

    Raises:
        SettingsError: the settings would serve beyond this machine without a key.
        OSError: the address cannot be bound.
    """
    configure(settings)
    telemetry.start(settings, "face2face-gateway")
    app = make_app(settings)
    with _bind(settings.gateway_host, settings.gateway_port) as listener:
        host, port = listener.getsockname()[:2]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
            limit_concurrency=CALLS + ROOM,
            lifespan="on",
            http=TimedProtocol,
        )
        server = _Server(config, lambda: on_ready(Address(host, port)))
        try:
            asyncio.run(server.serve([listener]))
        finally:
            telemetry.stop()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
