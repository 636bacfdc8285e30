"""A stand-in of the Hugging Face hub's file API on loopback: HEAD, redirect, ranges, and faults."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self

_RESOLVE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request."""

    method: str
    path: str
    range: str | None
    token: str | None
    host: str


@dataclass(slots=True)
class Faults:
    """What goes wrong, changed by the test while the server runs."""

    cuts: list[int] = field(default_factory=list)
    """The next bodies break off after this many bytes each."""
    ignore_range: bool = False
    revision: str | None = None
    """Answer for this revision instead."""
    surplus: list[int] = field(default_factory=list)
    """That many bytes follow the file in the next bodies."""
    busy: list[int] = field(default_factory=list)
    """Answer the next requests with these."""
    status: int | None = None
    """Answer everything with this."""


@dataclass(slots=True)
class Hub:
    """The server. Files are `(repo, revision, path) -> bytes`."""

    files: dict[tuple[str, str, str], bytes]
    faults: Faults = field(default_factory=Faults)
    seen: list[Seen] = field(default_factory=list)
    sent: int = 0
    """Bytes of files that were sent."""
    _server: ThreadingHTTPServer | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def storage(self) -> str:
        """Where it redirects to for bytes: the same server by another host name."""
        assert self._server is not None
        return f"http://localhost:{self._server.server_address[1]}"

    def bodies(self) -> list[Seen]:
        """Requests for bytes."""
        return [s for s in self.seen if s.method == "GET" and s.path.startswith("/storage/")]

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"standin": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    standin: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        hub, headers = self.standin, self.headers
        hub.seen.append(
            Seen(
                self.command,
                self.path,
                headers.get("range"),
                headers.get("authorization"),
                (headers.get("host") or "").split(":")[0],
            )
        )
        if hub.faults.busy:
            return self._plain(hub.faults.busy.pop(0))
        if hub.faults.status is not None:
            return self._plain(hub.faults.status)
        if self.path.startswith("/storage/"):
            return self._bytes(body)
        match = _RESOLVE.match(self.path)
        if match is None:
            return self._plain(404)
        content = hub.files.get((match["repo"], match["revision"], match["path"]))
        if content is None:
            return self._plain(404, {"X-Error-Code": "EntryNotFound"})
        digest = hashlib.sha256(content).hexdigest()
        return self._plain(
            302,
            {
                "X-Repo-Commit": hub.faults.revision or match["revision"],
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(content)),
                "Location": f"{hub.storage}/storage/{digest}",
            },
        )

    def _bytes(self, body: bool) -> None:
        hub = self.standin
        digest = self.path.rsplit("/", 1)[1]
        content = next(c for c in hub.files.values() if hashlib.sha256(c).hexdigest() == digest)
        wanted = self.headers.get("range")
        start = 0
        if wanted and not hub.faults.ignore_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return self._plain(416)
        rest = content[start:] + bytes(hub.faults.surplus.pop(0) if hub.faults.surplus else 0)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        cut = hub.faults.cuts.pop(0) if hub.faults.cuts else None
        piece = rest if cut is None else rest[:cut]
        if body:
            self.wfile.write(piece)
            hub.sent += len(piece)
        if cut is not None:
            self.close_connection = True
        return None

    def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()
