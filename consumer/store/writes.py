"""What is written to the store and removed from it.

Every write is one PUT, so that an object is there whole or not at all. Conditional ones
(`If-None-Match: *`, `If-Match`) are not in the SDK's public calls; they are made by its Signature
V4 with the payload's SHA-256, which the server checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from consumer.store.facts import NOTHING, SHA256_META
from consumer.store.responses import etag_of
from consumer.store.sdk import Sdk, code_of, error_of, failures
from consumer.store.signing import MD5_HEADER, Call, content_md5

SMALL_BYTES = 1024 * 1024
"""From here on an object goes as a file, which may take longer."""


@dataclass(frozen=True, slots=True)
class Put:
    """One object to write."""

    bucket: str
    key: str
    body: Callable[[], Iterator[bytes]]
    """Its bytes, from the first one at each call."""
    size: int
    sha256: str
    content_type: str
    over: str | None
    """Only over the object with this ETag, or over `NOTHING`; None over whatever is there."""

    @property
    def headers(self) -> dict[str, str]:
        """Of the call, but for the digests of its body."""
        headers = {"Content-Type": self.content_type, SHA256_META: self.sha256}
        if self.over == NOTHING:
            headers["If-None-Match"] = "*"
        elif self.over is not None:
            headers["If-Match"] = f'"{self.over}"'
        return headers


class Writes:
    """Calls that block and change objects."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk
        self._hashing: set[str] = set()
        """Buckets that take nothing without its MD5."""

    def put(self, wanted: Put) -> str | None:
        """Write an object; its ETag, or None when the condition did not hold."""
        what = f"put object {wanted.key!r} in bucket {wanted.bucket!r}"
        return self._sdk.call("put", what, self._put_as_wanted, wanted)

    def _put_as_wanted(self, wanted: Put) -> str | None:
        """One PUT, and another with the MD5 where the bucket asks for it (Object Lock does)."""
        if wanted.bucket not in self._hashing:
            try:
                return self._put_once(wanted, wanted.headers)
            except failures() as error:
                said = str(getattr(error, "message", ""))
                if code_of(error) is None or MD5_HEADER.lower() not in said.lower():
                    raise
                self._hashing.add(wanted.bucket)
        return self._put_once(wanted, wanted.headers | {MD5_HEADER: content_md5(wanted.body())})

    def _put_once(self, wanted: Put, headers: dict[str, str]) -> str | None:
        http = self._sdk.http if wanted.size <= SMALL_BYTES else self._sdk.file_http
        call = Call(
            "PUT",
            self._sdk.url_of(wanted.bucket, wanted.key),
            {**headers, "Content-Length": str(wanted.size)},
            wanted.body() if wanted.size else b"",
            wanted.sha256,
        )
        answer = self._sdk.signed(call, http)
        if answer.status == HTTPStatus.OK:
            return etag_of(answer)
        if answer.status == HTTPStatus.PRECONDITION_FAILED and wanted.over is not None:
            return None
        error = error_of(answer)
        if wanted.over and code_of(error) == "NoSuchKey":
            return None
        raise error

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        self._sdk.client.remove_object(bucket, key)
