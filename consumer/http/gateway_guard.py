"""What stands before every route, as plain ASGI: key, origin, size of bodies, headers, figures.

Without a key the gateway is on loopback, and the danger is a browser on the same machine: a foreign
page that posts to it (CSRF), or a name that resolves to 127.0.0.1 (DNS rebinding). So the Host must
then be one of loopback, and what changes something must not come from a foreign origin.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.http.gateway_metrics import REQUEST_SECONDS, REQUESTS
from consumer.http.gateway_problems import Refused, answer
from consumer.remote.addresses import HostRefused, check_host, is_loopback_host
from consumer.settings import Settings
from schemas.codes import ErrorCode
from schemas.http import HttpCode

GUARDED = ("/api/", "/v1/")
PROBES = frozenset({"/livez", "/readyz", "/metrics", "/health"})
CALLS = 1000
"""Calls at a time, without probes: those who wait for jobs must not have the platform end it."""
UPLOADS = "/v1/jobs"
"""The one path that takes files."""
MAX_JSON = 256 * 1024
BODY_S = 30.0
"""Longest wait for all of such a body: a caller whose network is gone would keep its call."""
METHOD = "face2face.method"
"""Of the scope: the method that was sent, where the routes see another."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
log = structlog.get_logger(__name__)


class Guard:
    """Lets a call through, or answers it with a problem."""

    def __init__(self, app: ASGIApp, settings: Settings, media_origin: str) -> None:
        self._app = app
        key = settings.api_key
        self._key = key.get_secret_value().encode() if key is not None else None
        self._headers = security_headers(media_origin)
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # the routes know GET alone, and an answer to HEAD is one to GET without its body (RFC 9110)
        asked = {**scope, METHOD: scope["method"]}
        if scope["method"] == "HEAD":
            asked["method"] = "GET"
        call = _Call(asked, receive, send, self._headers, scope["method"])
        counted = scope["path"] not in PROBES
        self._calls += counted
        try:
            if counted and self._calls > CALLS:
                raise Refused.of(HttpCode.BUSY, f"{CALLS} calls at a time are taken")
            self._check(scope)
            await self._app(asked, call.receive, call.send)
        except Refused as refused:
            if call.started:
                raise  # too late for a problem: the connection is cut
            await answer(refused.problem, scope["path"])(scope, receive, call.send)
        except ClientDisconnect:
            pass  # in the middle of its body: nobody is there to be answered, and nothing is wrong
        finally:
            self._calls -= counted
            call.note()

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_origin(scope["method"], headers)
        if scope["path"].startswith(GUARDED):
            self._check_key(headers)
        _check_encoding(headers)

    def _check_key(self, headers: Headers) -> None:
        if self._key is None:
            return
        given = headers.get("x-api-key", "")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = token.strip()
        if not hmac.compare_digest(given.encode(), self._key):
            raise Refused.of(
                HttpCode.UNAUTHORIZED, "the key is wrong" if given else "a key is needed"
            )

    def _check_origin(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._key is None and not _is_loopback(host):
            raise Refused.of(
                HttpCode.FOREIGN_ORIGIN, f"without a key, host {host[:80]!r} is not served"
            )
        origin = headers.get("origin")
        foreign = origin is not None and _authority(origin) != host.lower()
        if method not in SAFE and (foreign or headers.get("sec-fetch-site") == "cross-site"):
            raise Refused.of(HttpCode.FOREIGN_ORIGIN, "the call comes from a page of another site")


def _check_encoding(headers: Headers) -> None:
    """A packed body would be read as it stands, and called no JSON."""
    packed = headers.get("content-encoding", "").strip().lower()
    if packed not in ("", "identity"):
        raise Refused.of(
            ErrorCode.INVALID_REQUEST,
            f"the body is packed (Content-Encoding {packed[:40]!r}); send it as it is",
        )


class _Call:
    """Watches one call: bounds its body unless it is an upload, adds headers, counts.

    An upload is what a route takes piece by piece. Elsewhere a body that calls itself one is read
    into memory as any other is.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Iterable[tuple[str, str]],
        method: str,
    ) -> None:
        self._scope = scope
        self._method = method
        self._receive = receive
        self._send = send
        self._headers = headers
        self._begun = time.monotonic()
        self._status = 0
        self._bytes = 0
        self._whole = False
        kind = Headers(scope=scope).get("content-type", "")
        upload = kind.lower().startswith("multipart/") and scope["path"] == UPLOADS
        self._bounded = not upload

    @property
    def started(self) -> bool:
        return self._status != 0

    async def receive(self) -> Message:
        if not self._bounded or self._whole or self.started:
            return await self._receive()
        left_s = max(0.0, self._begun + BODY_S - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), left_s)
        except TimeoutError:
            raise Refused.of(
                HttpCode.BODY_TOO_SLOW, f"the body did not come within {BODY_S:g} s"
            ) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > MAX_JSON:
                raise Refused.of(
                    HttpCode.BODY_TOO_LARGE, f"the body is larger than {MAX_JSON} bytes"
                )
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers:
                headers.setdefault(name, value)
            REQUEST_SECONDS.labels(self._route()).observe(time.monotonic() - self._begun)
        if self._method != "HEAD":
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send(message)
            # at once, and nothing after it: a stream of events would only end with its job
            await self._send({"type": "http.response.body"})

    def note(self) -> None:
        """Count the call and write its line; the query is not part of it."""
        route, method = self._route(), self._method
        known = method if method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        REQUESTS.labels(route, known, str(self._status)).inc()
        if route not in PROBES:
            log.info(
                "call",
                method=known,
                route=route,
                status=self._status,
                ms=round((time.monotonic() - self._begun) * 1000),
                **{name: text[:128] for name, text in self._scope.get("path_params", {}).items()},
            )

    def _route(self) -> str:
        """The route's pattern: what was typed would make a metric of every typing error."""
        return str(getattr(self._scope.get("route"), "path", None) or "other")


def _authority(origin: str) -> str:
    """Host and port of an origin; nothing of what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return is_loopback_host(check_host(urlsplit(f"//{host}").hostname or ""))
    except (HostRefused, ValueError):
        return False


def security_headers(media_origin: str) -> list[tuple[str, str]]:
    """Headers of every answer. `media_origin` is the store's, from which the page plays results."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src 'self' data:; media-src 'self' blob: {media_origin}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return [
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ]
