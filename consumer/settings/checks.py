"""What single settings must look like, beyond their type; `consumer.settings` puts them to use.

Each check returns the value or raises ValueError with the limit and what to write instead; name
and value are put in front of it.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from schemas.engines import ENGINES

_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
_BROKER = re.compile(rf"(?:[A-Za-z_]+://)?{_HOST}(?::(?P<port>[0-9]{{1,5}}))?")
_ALLOWED = re.compile(rf"(\*|(\*\.|\.)?{_HOST})(:(?P<port>[0-9]{{1,5}}))?")
_AWS = re.compile(
    r"s3[.-](?:dualstack\.)?(?P<region>[a-z]{2,}-[a-z-]+-[0-9])\.amazonaws\.com(\.cn)?"
)
_DEVICE = re.compile(r"auto|cpu|(cuda:)?[0-9]{1,3}|(GPU|MIG)-[0-9A-Za-z/-]+")


def brokers(values: tuple[str, ...]) -> tuple[str, ...]:
    """At least one `host:port`."""
    if not values:
        raise ValueError("names no broker; write host:port, comma-separated")
    return _all(values, _BROKER, "is not host:port with a port of 1 to 65535")


def allowed_hosts(values: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts without scheme and path: anything else would never match, silently."""
    return _all(values, _ALLOWED, "is not host, host:port, .domain or *; leave out scheme and path")


def devices(values: tuple[str, ...]) -> tuple[str, ...]:
    """At least one of `auto`, `cpu` and names of GPUs."""
    if not values:
        raise ValueError("names no device; write auto, cpu, or GPU indices such as 0,1")
    return _all(values, _DEVICE, "is not auto, cpu, or the index or UUID of a GPU")


def engine(value: str) -> str:
    """One that this release knows; whether it has its weights is another matter."""
    if value not in ENGINES:
        raise ValueError(f"no engine is called that; write one of {', '.join(ENGINES)}")
    return value


def line(value: str) -> str:
    """Text without control characters: clients send them along, or refuse them much later."""
    if any(letter < " " or letter == "\x7f" for letter in value):
        raise ValueError("holds a line end, a tabulator or another control character; remove it")
    return value


def word(value: str) -> str:
    """One of some words, however it is capitalised."""
    return value.lower()


def http_url(value: str) -> str:
    """A URL, http(s)://host[:port]/…, in ASCII."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    if not host:
        raise ValueError("names no host; write http(s)://host:port")
    if any(not "!" <= letter <= "~" for letter in value):
        raise ValueError("must be of ASCII characters without spaces")
    return value


def endpoint(value: str) -> str:
    """http(s)://host[:port], nothing behind: S3 has buckets there."""
    parts = urlsplit(http_url(value))
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be http(s)://host:port alone, without user, path or query")
    return value


def region(store: str, named: str) -> None:
    """The region in the name of an AWS endpoint is the one that calls are signed for."""
    found = _AWS.fullmatch(urlsplit(store).hostname or "")
    if found is not None and found["region"] != named:
        raise ValueError(
            f"S3_ENDPOINT = {store!r} is of region {found['region']!r}, and S3_REGION = {named!r}; "
            "write the same in both"
        )


def place(path: Path) -> Path:
    """A whole path: units and files of settings have no shell that puts a home in for `~`."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("begins with ~, and no such home is known; write the whole path") from None


def file(path: Path) -> Path:
    """A file that is there."""
    path = place(path)
    try:
        there = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"cannot be looked at ({error.strerror})") from None
    if not there:
        raise ValueError("is not a file")
    return path


def certificates(path: Path) -> Path:
    """A file of CA certificates (PEM)."""
    try:
        path = file(path)
        ssl.create_default_context(cafile=str(path))
    except OSError as error:  # of which SSLError is one
        raise ValueError(f"holds no CA certificates in PEM ({error})") from None
    return path


def header_key(key: SecretStr) -> SecretStr:
    """A key that a header can carry: others never arrive as they are, and nobody could call."""
    text = key.get_secret_value()
    if not text or text != text.strip() or any(not " " <= letter <= "~" for letter in text):
        raise ValueError(
            "must be of visible ASCII characters, since callers send it in a header; spaces may "
            "stand inside it alone"
        )
    return key


def _all(values: tuple[str, ...], pattern: re.Pattern[str], wrong: str) -> tuple[str, ...]:
    for value in values:
        found = pattern.fullmatch(value)
        port = found.groupdict().get("port") if found else None
        if found is None or (port is not None and not 1 <= int(port) <= 65_535):
            raise ValueError(f"{value!r} {wrong}")
    return values
