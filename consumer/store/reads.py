"""What is read from the store: objects, their facts, listings, and URLs for others to read by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar

from consumer.metrics import STORE_ERRORS
from consumer.remote.download import Changed, Cut, Opened
from consumer.store.facts import SHA256_META, Missing, Stat, explain
from consumer.store.responses import HEADLESS, Body, entry, etag_of, length
from consumer.store.sdk import Sdk, code_of, failures
from consumer.store.signing import end_of
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef

MOST_READ = 16 * 1024 * 1024
"""Of an object that is read into memory. No record of ours comes near; another's larger one is cut
here, and then is no record for whoever reads it."""
T = TypeVar("T")


class Reads:
    """Calls that block and change nothing."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk

    def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object's bytes, `MOST_READ` at most, and ETag; None when there is none."""

        def get() -> tuple[bytes, str]:
            answer = self._sdk.client.get_object(bucket, key)
            try:
                length(answer)
                return answer.read(MOST_READ), etag_of(answer)
            finally:
                answer.close()
                answer.release_conn()

        try:
            return self._sdk.call("get", f"get object {key!r} in bucket {bucket!r}", _missing(get))
        except Missing:
            return None

    def stat(self, bucket: str, key: str) -> Stat | None:
        """An object's facts; None when there is none."""

        def stat() -> Stat:
            found = self._sdk.client.stat_object(bucket, key)
            if found.size is None or not found.etag:
                raise OSError(HEADLESS)
            meta = found.metadata or {}
            return Stat(found.size, found.etag, meta.get(SHA256_META), found.last_modified)

        what = f"stat object {key!r} in bucket {bucket!r}"
        try:
            return self._sdk.call("stat", what, _missing(stat))
        except Missing:
            return None

    def open_at(self, ref: ObjectRef, offset: int, etag: str | None) -> Opened:
        """Open an object for `download`: retries are its business, so none are made here.

        Raises:
            Changed: the object has another ETag now.
            Cut: the connection broke, or the store does not answer.
            Fault: INPUT_NOT_FOUND, STORE_DENIED.
        """
        headers = {"If-Match": f'"{etag}"'} if etag else None
        try:
            answer = self._sdk.file_client.get_object(
                ref.bucket, ref.key, offset=offset, request_headers=headers
            )
        except failures() as error:
            STORE_ERRORS.labels("fetch").inc()
            if code_of(error) == "PreconditionFailed":
                raise Changed from error
            fault = explain(error, f"object {ref.url}", reading=True)
            if fault.code is ErrorCode.STORE_UNAVAILABLE:
                raise Cut(str(error)) from error
            raise fault from error
        try:
            return Opened(Body(answer), offset + length(answer), etag_of(answer))
        except OSError as error:
            answer.close()
            raise Cut(str(error)) from error

    def presign(
        self, bucket: str, key: str, expires: timedelta, method: str
    ) -> tuple[str, datetime]:
        """A URL that serves an object to GET or to HEAD, and when it ends. No call to the store."""
        url = str(self._sdk.public.get_presigned_url(method, bucket, key, expires))
        wanted, keys = datetime.now(UTC) + expires, self._sdk.keys
        return url, end_of(keys.retrieve(), wanted) if keys is not None else wanted

    def list_all(self, bucket: str, prefix: str) -> list[tuple[str, Stat]]:
        """Keys and facts of all objects under a prefix, in key order."""
        found = self._sdk.client.list_objects(bucket, prefix=prefix, recursive=True)
        return [entry(each) for each in found]

    def list_page(self, bucket: str, prefix: str, after: str, limit: int) -> list[tuple[str, Stat]]:
        """At most `limit` of them behind the key `after`."""
        found = self._sdk.client.list_objects(
            bucket, prefix=prefix, recursive=True, start_after=after or None
        )
        return [entry(each) for each in islice(found, limit)]


def _missing(function: Callable[[], T]) -> Callable[[], T]:
    """Turn NoSuchKey into Missing, which is an answer and no failure."""

    def call() -> T:
        try:
            return function()
        except failures() as error:
            if code_of(error) == "NoSuchKey":
                raise Missing from error
            raise

    return call
