"""Health and metrics over HTTP, from the first moment to the last: the drain does not end them.

    GET /health   the old service's shape (status, data_dir, data_dir_exists, timestamp) and more
    GET /livez    200 while this process can do its work or recover by itself; else 503
    GET /readyz   200 while it takes requests: group member, worker ready, store reachable
    GET /metrics  Prometheus text

uvicorn serves it, without its handling of signals: those belong to `consumer.signals`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from consumer.http.idle_connections import TimedProtocol
from consumer.settings import Settings, SettingsError

STARTED_CHECK_S = 0.01
STOP_TIMEOUT_S = 1.0
BACKLOG = 16
"""Probes that wait to be accepted. Without a file for one, asyncio logs as many lines at once."""
_METHODS = ("GET", "HEAD")
_NOT_ALLOWED = 405


class Source(Protocol):
    """Where the answers come from."""

    def live(self) -> str | None:
        """Why this process should be started again; None while it should not."""
        ...

    def ready(self) -> str | None:
        """Why no work is taken now; None while it is."""
        ...

    def facts(self) -> dict[str, Any]:
        """More for people and `face2face doctor`; JSON types only."""
        ...


class HealthApp:
    """A plain ASGI application with four paths."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self._settings = settings
        self._source = source
        self._paths: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/health": self._health,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest()),
        }

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, kind, body = self._answer(scope["method"], scope["path"])
        allow = [(b"allow", ", ".join(_METHODS).encode())] if status == _NOT_ALLOWED else []
        headers = [
            *allow,  # which such an answer must name (RFC 9110)
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        known = self._paths.get(path.rstrip("/"))
        if known is None:
            paths = ", ".join(self._paths)
            return _json(404, {"error": f"no such path; there are {paths}"})
        if method not in _METHODS:
            return _json(_NOT_ALLOWED, {"error": f"method {method} is not served here; use GET"})
        return known()

    def _health(self) -> tuple[int, str, bytes]:
        folder = self._settings.data_dir
        reason = self._source.live() or self._source.ready()
        answer = {
            "status": "healthy" if reason is None else "unhealthy",
            "data_dir": str(folder),
            "data_dir_exists": folder.is_dir(),
            "timestamp": time.time(),
            "reason": reason,
            "replica": self._settings.replica,
            **self._source.facts(),
        }
        return _json(200, answer)

    def _livez(self) -> tuple[int, str, bytes]:
        return _verdict(self._source.live())

    def _readyz(self) -> tuple[int, str, bytes]:
        return _verdict(self._source.live() or self._source.ready())


def _verdict(reason: str | None) -> tuple[int, str, bytes]:
    return _json(200 if reason is None else 503, {"ok": reason is None, "reason": reason})


def _json(status: int, body: Any) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body, default=str).encode() + b"\n"


class _Server(uvicorn.Server):
    """uvicorn, leaving the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(settings: Settings, source: Source) -> AsyncIterator[int]:
    """Serve until the end of the block; yields the port.

    Raises:
        SettingsError: the address cannot be bound.
    """
    config = uvicorn.Config(
        HealthApp(settings, source),
        http=TimedProtocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=1,
    )
    listening = _bind(settings)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        while not server.started and not task.done():
            await asyncio.sleep(STARTED_CHECK_S)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait((task,), timeout=STOP_TIMEOUT_S)
        task.cancel()
        listening.close()


def _bind(settings: Settings) -> socket.socket:
    host, port = settings.http_host, settings.http_port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise SettingsError(
            f"F2F_HTTP_HOST:F2F_HTTP_PORT = {host}:{port}: cannot listen there "
            f"({error.strerror or error}); choose another address or port, 0 for any port"
        ) from error
