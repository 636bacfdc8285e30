"""Fetches an input over HTTPS from a host that the operator allowed, and from nowhere else.

Every hop is checked anew before anything is connected (`consumer.remote.hop`); the connection goes
to the checked address, while TLS and its certificate are checked against the name. Redirects are
followed by hand, five at most. No proxy of the environment, no cookie, no credential, no content
encoding. Bytes, seconds and speed are bounded, and what does not begin like media is refused
(`consumer.remote.body`).

Plain http and loopback are for `face2face dev` alone (`F2F_ALLOW_LOOPBACK_INPUTS`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from consumer.disk import written
from consumer.remote.body import Body, RemotePolicy, check_size, fault, unreachable
from consumer.remote.download import Whole
from consumer.remote.hop import Hop, HopCheck, Resolve, system_resolve
from schemas.codes import ErrorCode
from schemas.refs import RemoteRef

if TYPE_CHECKING:
    import httpcore2

REDIRECTS = 5
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_AGAIN = frozenset({408, 425, 429})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_HEADERS = [
    (b"Accept", b"video/*, audio/*, image/*, application/octet-stream;q=0.9, */*;q=0.1"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"face2face"),
    (b"Connection", b"close"),
]


async def fetch_remote(
    ref: RemoteRef,
    path: Path,
    policy: RemotePolicy,
    *,
    resolve: Resolve = system_resolve,
    dial: httpcore2.AsyncNetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
) -> Whole:
    """Fetch to `path`, which is removed again when this fails.

    Args:
        ref: the file; its query may hold a signature and is never shown.
        dial: opens connections to checked addresses, which it gets as text.
        tls: trust of certificates; the system's when None.

    Raises:
        Fault: INPUT_FORBIDDEN, INPUT_NOT_FOUND, INPUT_TOO_LARGE, INPUT_UNREADABLE, or, worth a
            retry, INPUT_UNREACHABLE and SCRATCH_FULL.
    """
    fetch = _Fetch(policy, resolve, dial, tls or ssl.create_default_context())
    try:
        with written(path, repr(ref)) as out:
            async with asyncio.timeout(policy.total_s):
                return await fetch.run(ref.url, out)
    except TimeoutError as error:
        raise unreachable(
            f"{ref!r} was not complete after {policy.total_s:g} s (F2F_REMOTE_TIMEOUT_S)"
        ) from error


class _Fetch:
    def __init__(
        self,
        policy: RemotePolicy,
        resolve: Resolve,
        dial: httpcore2.AsyncNetworkBackend | None,
        tls: ssl.SSLContext,
    ) -> None:
        # At debug the library logs whole targets, signatures included.
        logging.getLogger("httpcore2").setLevel(logging.WARNING)
        self._policy = policy
        self._hops = HopCheck(policy, resolve)
        self._dial = dial
        self._tls = tls

    async def run(self, url: str, out: BinaryIO) -> Whole:
        before: Hop | None = None
        for _ in range(REDIRECTS + 1):
            hop = await self._hops.check(url, before)
            answer = await self._once(hop, out)
            if isinstance(answer, Whole):
                return answer
            before, url = hop, answer
        raise fault(ErrorCode.INPUT_FORBIDDEN, f"{before!r} redirects more than {REDIRECTS} times")

    async def _once(self, hop: Hop, out: BinaryIO) -> Whole | str:
        """The file, or where a redirect leads."""
        import httpcore2

        request = _request(hop, self._policy)
        backend = _pinned(hop, self._dial)
        try:
            async with httpcore2.AsyncConnectionPool(
                ssl_context=self._tls, network_backend=backend, retries=0
            ) as pool:
                answer = await pool.handle_async_request(request)
                try:
                    return await self._take(hop, answer, out)
                finally:
                    await answer.aclose()
        except httpcore2.TimeoutException as error:
            raise unreachable(f"{hop!r} fell silent") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise unreachable(f"{hop!r}: {_reason(error)}") from error

    async def _take(self, hop: Hop, answer: Any, out: BinaryIO) -> Whole | str:
        headers: dict[bytes, str] = {
            name.lower(): value.decode("latin-1") for name, value in answer.headers
        }
        if answer.status in _REDIRECT:
            location = headers.get(b"location")
            if not location:
                raise fault(ErrorCode.INPUT_UNREADABLE, f"{hop!r} redirects to nowhere")
            return urljoin(hop.url, location).split("#", 1)[0]
        _check_status(hop, answer.status)
        if headers.get(b"content-encoding", "identity").lower() not in ("identity", ""):
            raise fault(
                ErrorCode.INPUT_UNREADABLE, f"{hop!r} sends a content encoding nobody asked for"
            )
        total = headers.get(b"content-length", "")
        if total.isdigit():
            check_size(repr(hop), int(total), self._policy.max_bytes)
        return await Body(self._policy, repr(hop), out).pump(answer.stream)


def _request(hop: Hop, policy: RemotePolicy) -> httpcore2.Request:
    import httpcore2

    parts = urlsplit(hop.url)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    target = f"{path}?{query}" if query else path
    authority = f"[{hop.host}]" if ":" in hop.host else hop.host
    default = 443 if hop.tls else 80
    url = httpcore2.URL(
        scheme=b"https" if hop.tls else b"http",
        host=hop.host.encode(),
        port=hop.port,
        target=target.encode(),
    )
    shown = authority if hop.port == default else f"{authority}:{hop.port}"
    connect, idle = policy.connect_s, policy.idle_s
    return httpcore2.Request(
        "GET",
        url,
        headers=[(b"Host", shown.encode()), *_HEADERS],
        extensions={"timeout": {"connect": connect, "read": idle, "write": idle, "pool": connect}},
    )


def _check_status(hop: Hop, status: int) -> None:
    if status == HTTPStatus.OK:
        return
    text = f"{hop!r} answers {status}"
    if status in _GONE:
        raise fault(ErrorCode.INPUT_NOT_FOUND, text)
    if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise unreachable(text)
    signed = bool(urlsplit(hop.url).query)
    if status in _DENIED or (signed and status == HTTPStatus.BAD_REQUEST):  # AWS to a stale token
        why = "it wants credentials, and none are sent"
        if signed:
            why = "it does not take what follows the '?': signed URLs must live until they are read"
        raise fault(ErrorCode.INPUT_FORBIDDEN, f"{text}: {why}")
    raise fault(ErrorCode.INPUT_UNREADABLE, text)


def _pinned(hop: Hop, dial: httpcore2.AsyncNetworkBackend | None) -> httpcore2.AsyncNetworkBackend:
    """A backend that connects to the hop's checked addresses, whatever name it is given."""
    import httpcore2

    inner = dial or httpcore2.AnyIOBackend()

    class Pinned(httpcore2.AsyncNetworkBackend):
        async def connect_tcp(
            self, host: str, port: int, *args: Any, **kwargs: Any
        ) -> httpcore2.AsyncNetworkStream:
            assert (host, port) == (hop.host, hop.port), "one connection, to one host"
            last: Exception | None = None
            for address in hop.addresses[:4]:
                try:
                    return await inner.connect_tcp(str(address), port, *args, **kwargs)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                    last = error
            raise last or httpcore2.ConnectError("no address")

        async def sleep(self, seconds: float) -> None:
            await inner.sleep(seconds)

    return Pinned()


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed ({getattr(cause, 'verify_message', '') or cause.reason})"
    return f"the connection failed ({type(error).__name__})"
