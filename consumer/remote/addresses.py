"""Which hosts and addresses a remote input may come from. Pure: resolves and connects nothing.

The registries behind it: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890),
RFC 4291 (mapped), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo). Hosts are read as strictly
as RFC 1123 has them; what a lenient parser would read as an IPv4 address (decimal, octal, hex,
short forms; WHATWG URL, "ends in a number") is refused, not interpreted.
"""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
MAX_HOST = 253

_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REFUSED_V4 = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "168.63.129.16/32",  # a global address that serves the platform's secrets inside Azure
    )
)
_REFUSED_V6 = tuple(
    ipaddress.ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments; Teredo, which carries an IPv4 address, among them
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries an IPv4 address
        "3fff::/20",
    )
)


class HostRefused(ValueError):
    """A host that is not fetched from; the text says why, and shows nothing but the host."""


def check_host(host: str) -> str:
    """The host in lower case without the root's dot; an address in its one canonical form.

    Raises:
        HostRefused: not an ASCII host name, or an address in a disguise.
    """
    if not host.isascii():
        raise HostRefused(f"host {host!r} is not ASCII; write it in its xn-- form")
    if ":" in host:
        return _canonical_v6(host)
    name = host.removesuffix(".").lower()
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _canonical_v4(name)
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise HostRefused(f"{host[:80]!r} is not a host name")
    return name


def _canonical_v6(host: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError as error:
        raise HostRefused(f"{host!r} is not an IPv6 address") from error


def _canonical_v4(name: str) -> str:
    try:
        return str(ipaddress.IPv4Address(name))
    except ValueError as error:
        raise HostRefused(
            f"{name!r} is not an IPv4 address in dotted decimal; other spellings are refused"
        ) from error


def literal(host: str) -> Address | None:
    """The address that a checked host is, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback_host(host: str) -> bool:
    """True for `localhost` and loopback addresses as literals; no other name counts."""
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def why_refused(address: Address) -> str | None:
    """Why nothing may be fetched from an address; None for one of the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            reason = why_refused(inner)
            return reason and f"{reason} inside an IPv6 address"
        if address.scope_id is not None:
            return "an address with a scope"
        if address not in _GLOBAL_V6 or any(address in net for net in _REFUSED_V6):
            return _kind(address)
    elif any(address in net for net in _REFUSED_V4):
        return _kind(address)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return _kind(address)
    return None


def _kind(address: Address) -> str:
    for name in ("unspecified", "loopback", "link_local", "multicast"):
        if getattr(address, f"is_{name}"):
            return f"a {name.replace('_', '-')} address"
    return "a private address" if address.is_private else "an address of special purpose"


def allowed(host: str, port: int, patterns: tuple[str, ...]) -> bool:
    """True when the operator's list names a checked host.

    A pattern is `host` (port 443), `host:port`, `.domain` (every name under it, port 443), or `*`
    (every host, port 443). An IPv6 literal stands in brackets.
    """
    return any(_matches(host, port, pattern.lower()) for pattern in patterns)


def _matches(host: str, port: int, pattern: str) -> bool:
    wanted = 443
    named = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]+):([0-9]{1,5})", pattern)
    if named:
        pattern, wanted = named[1], int(named[2])
    if port != wanted:
        return False
    if pattern == "*":
        return True
    if pattern.startswith((".", "*.")):
        return host.endswith(pattern.removeprefix("*")) and literal(host) is None
    return host == pattern.strip("[]").removesuffix(".")
