"""Locations of inputs and outputs: the only validator of buckets, keys and remote URLs.

`s3://bucket/key` names an object in the configured store (bucket names by the Amazon S3 naming
rules, keys as UTF-8 of at most 1,024 bytes). `https://host/path` names a remote file; whether a
host may be fetched is decided by the operator's allow-list, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

_BUCKET = re.compile(r"^(?!xn--)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_IPV4 = re.compile(r"^\d{1,3}(\.\d{1,3}){3}$")
_USER = re.compile(r"(?<=://)([^/]*|[^/@:]*:(?![0-9]*/)[^@]{0,256})@")
"""User and password of a location, also one that holds a slash: no port stands before that."""
MAX_KEY_BYTES = 1024
MAX_URL_CHARS = 4096


class RefError(ValueError):
    """A location that cannot be used; the text names the value, the rule and what to do."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object in the store."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """The location as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class RemoteRef:
    """One remote file. `repr` shows no query, because a signature may travel in it."""

    url: str

    @property
    def host(self) -> str:
        """The host name in lower case, without port."""
        return (urlsplit(self.url).hostname or "").lower()

    def __repr__(self) -> str:
        parts = urlsplit(self.url)
        return f"RemoteRef({parts.scheme}://{parts.hostname}{parts.path})"


Ref = ObjectRef | RemoteRef


def without_secrets(text: str) -> str:
    """A location to be shown: its user and password, and its query, may let others in."""
    return _USER.sub("***@", text).split("?", 1)[0]


def _shorten(value: str) -> str:
    text = without_secrets(value[:MAX_URL_CHARS])
    return repr(text if len(text) <= 120 else text[:117] + "...")


def check_bucket(name: str) -> str:
    """Return the bucket name, or raise RefError naming the rule it breaks."""
    if not _BUCKET.fullmatch(name) or _IPV4.fullmatch(name):
        raise RefError(
            f"bucket {_shorten(name)} is not valid: 3 to 63 of a-z, 0-9, '.' and '-', "
            "starting and ending with a letter or digit, and not an IP address"
        )
    return name


def check_key(key: str) -> str:
    """Return the object key, or raise RefError: relative, UTF-8, no control or dot segments."""
    if not key or len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise RefError(f"object key {_shorten(key)} must have 1 to {MAX_KEY_BYTES} bytes")
    try:
        key.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RefError(f"object key {_shorten(key)} is not valid UTF-8") from error
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in key):
        raise RefError(f"object key {_shorten(key)} holds a control character; remove it")
    if key.startswith("/") or any(part in (".", "..") for part in key.split("/")):
        raise RefError(
            f"object key {_shorten(key)} must be relative and hold no '.' or '..' segment"
        )
    return key


def parse_ref(url: str) -> Ref:
    """Parse an input location.

    Raises:
        RefError: the scheme is unknown, or the bucket, key or host breaks a rule.
    """
    if len(url) > MAX_URL_CHARS:
        raise RefError(f"location {_shorten(url)} is longer than {MAX_URL_CHARS} characters")
    if url.startswith("s3://"):
        bucket, _, key = url[5:].partition("/")
        return ObjectRef(check_bucket(bucket), check_key(key))
    if url.startswith(("https://", "http://")):
        return _parse_remote(url)
    raise RefError(
        f"location {_shorten(url)} must start with s3:// (or https:// where the host is allowed)"
    )


def _parse_remote(url: str) -> RemoteRef:
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in url) or "\\" in url:
        raise RefError(f"location {_shorten(url)} holds a space, backslash or control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        text = f"location {_shorten(url)} is not a valid URL: its host or its port is none"
        raise RefError(text) from error
    if not parts.hostname or "%" in parts.netloc:
        raise RefError(f"location {_shorten(url)} names no valid host")
    if parts.username is not None:  # '' where there is only a password
        raise RefError(f"location of host {parts.hostname!r} must not carry a user or password")
    if port == 0:
        raise RefError(f"location {_shorten(url)} has port 0")
    return RemoteRef(url)


def file_suffix(ref: Ref) -> str:
    """The lower-case suffix of the file's name ('.wav'), or '' where none is worth keeping."""
    return name_suffix(ref.key if isinstance(ref, ObjectRef) else unquote(urlsplit(ref.url).path))


def name_suffix(name: str) -> str:
    """The same of a bare name: what else may stand behind a dot is no part of a kind."""
    match = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
    return match.group(0).lower() if match else ""


def _check_ref(url: str) -> str:
    parse_ref(url)
    return url


RefStr = Annotated[
    str,
    AfterValidator(_check_ref),
    Field(
        max_length=MAX_URL_CHARS,
        examples=["s3://face2face/inputs/speech.wav"],
        description="s3://bucket/key in the configured store, or https:// of an allowed host",
    ),
]
"""A location as text, checked by `parse_ref`."""
