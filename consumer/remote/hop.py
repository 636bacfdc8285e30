"""Whether one URL may be fetched, and from which addresses: settled before anything is connected.

Against server-side request forgery (OWASP): the host must be on the operator's list; its name is
resolved once; every address it has must be of the public internet. `consumer.remote.fetch` asks
anew for every hop, and connects to these addresses alone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from consumer.remote.addresses import (
    Address,
    HostRefused,
    allowed,
    check_host,
    is_loopback_host,
    literal,
    why_refused,
)
from consumer.remote.body import RemotePolicy, fault, unreachable
from schemas.codes import ErrorCode
from schemas.refs import RefError, RemoteRef, parse_ref

Resolve = Callable[[str, int], Awaitable[list[Address]]]
"""(host, port) to all of the host's addresses; raises OSError."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One checked URL and the addresses that it may be fetched from."""

    url: str
    host: str
    port: int
    tls: bool
    addresses: tuple[Address, ...]

    @property
    def loopback(self) -> bool:
        """True when it leads to this machine."""
        return is_loopback_host(self.host)

    def __repr__(self) -> str:
        return f"host {self.host!r}"


async def system_resolve(host: str, port: int) -> list[Address]:
    """All addresses of a name, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [literal(str(entry[4][0])) for entry in found]
    return list(dict.fromkeys(address for address in addresses if address is not None))


class HopCheck:
    """Lets through what the policy allows."""

    def __init__(self, policy: RemotePolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve

    async def check(self, url: str, before: Hop | None) -> Hop:
        """Read, list-check and resolve one URL.

        Args:
            before: the hop that led here; None for the first one.

        Raises:
            Fault: INPUT_FORBIDDEN, INPUT_NOT_FOUND or INPUT_UNREACHABLE.
        """
        try:
            ref = parse_ref(url)
            if not isinstance(ref, RemoteRef):
                raise HostRefused("a redirect must lead to https://")
            parts = urlsplit(url)
            host = check_host(ref.host)
        except (RefError, HostRefused) as error:
            raise fault(ErrorCode.INPUT_FORBIDDEN, str(error)) from error
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        self._check_listed(host, port, secure, before)
        addresses = await self._addresses(host, port)
        return Hop(url, host, port, secure, addresses)

    def _check_listed(self, host: str, port: int, secure: bool, before: Hop | None) -> None:
        if is_loopback_host(host):
            if self._policy.loopback and (before is None or before.loopback):
                return
            raise fault(ErrorCode.INPUT_FORBIDDEN, f"host {host!r} is the service's own machine")
        if not secure:
            raise fault(
                ErrorCode.INPUT_FORBIDDEN, f"host {host!r} is asked over http; only https is taken"
            )
        if not allowed(host, port, self._policy.hosts):
            where = host if port == 443 else f"{host}:{port}"
            raise fault(
                ErrorCode.INPUT_FORBIDDEN, f"host {where!r} is not in F2F_ALLOWED_HOSTS", host=where
            )

    async def _addresses(self, host: str, port: int) -> tuple[Address, ...]:
        address = literal(host)
        try:
            found = [address] if address is not None else await self._resolve(host, port)
        except OSError as error:
            if error.errno == socket.EAI_NONAME:
                raise fault(ErrorCode.INPUT_NOT_FOUND, f"host {host!r} has no address") from error
            raise unreachable(f"host {host!r} cannot be looked up: {error}") from error
        if not found:
            raise fault(ErrorCode.INPUT_NOT_FOUND, f"host {host!r} has no address")
        for one in found:  # one bad address among good ones is how a rebinding begins
            reason = why_refused(one)
            if is_loopback_host(host):
                reason = None if one.is_loopback else "not an address of loopback"
            if reason:
                raise fault(ErrorCode.INPUT_FORBIDDEN, f"host {host!r} has {reason}", host=host)
        return tuple(found)
