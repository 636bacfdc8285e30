"""The object store: any S3-compatible server, through the `minio` SDK. Coroutines: `AsyncStore`.

The only module that imports `minio` beside `consumer.store_signing`, and it does so late: the SDK
takes half a second to import, and the service joins its group before that.

Conditional writes (`If-None-Match: *`, `If-Match`) and lifecycles as they are are not in the SDK's
public calls. `signed_call` makes those, with the SDK's Signature V4 and the payload's SHA-256,
which the server checks. Every write here is one PUT: an object is there whole or not at all.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache, cached_property, partial
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from consumer import expiry_rules
from consumer.download import Changed, Cut, Opened
from consumer.metrics import STORE_ERRORS
from consumer.store_answers import HEADLESS, Body, entry, etag_of, length
from consumer.store_base import FILE_THREADS, SMALL_THREADS, AsyncStore, file_sha256
from consumer.store_facts import (
    Expiry,
    Missing,
    NoLifecycle,
    Rules,
    Stat,
    Stored,
    explain,
    lifecycle_missing,
)
from consumer.store_signing import Keys, end_of, keys, signed_call
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef

CONNECT_S, READ_S, SMALL_READ_S = 5.0, 30.0, 10.0
"""A server that starts may take a connection and never answer it: small calls give up sooner."""
SMALL_BYTES = 1024 * 1024
MOST_READ = 16 * SMALL_BYTES
"""Of an object that is read into memory. No record of ours comes near; another's larger one is cut
here, and then is no record for whoever reads it."""
RETRY_PAUSES_S = (0.1, 0.4)
"""Pauses before a call is made again after a cut connection or a 5xx; then it is a Fault."""
SHA256_META = "x-amz-meta-sha256"
MD5_HEADER = "Content-MD5"

__all__ = ["Expiry", "NoLifecycle", "Stat", "Storage", "Stored", "file_sha256"]
T = TypeVar("T")


class Storage(AsyncStore):
    """The store of the settings."""

    def close(self) -> None:
        """Close connections, too."""
        super().close()
        for name in ("_http", "_file_http"):
            if name in self.__dict__:
                self.__dict__[name].clear()

    def _make_pool(self, read_s: float) -> Any:
        import urllib3

        ca = self._settings.s3_ca
        return urllib3.PoolManager(
            maxsize=FILE_THREADS + SMALL_THREADS,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca) if ca else None,
        )

    @cached_property
    def _http(self) -> Any:
        return self._make_pool(SMALL_READ_S)

    @cached_property
    def _file_http(self) -> Any:
        return self._make_pool(READ_S)

    def _make(self, endpoint: str, http: Any) -> Any:
        from minio import Minio

        parts = urlsplit(endpoint)
        settings = self._settings
        return Minio(
            parts.netloc,
            credentials=cast("Any", self._keys),
            secure=parts.scheme == "https",
            region=settings.s3_region,
            http_client=http,
        )

    @cached_property
    def _hashing(self) -> set[str]:
        """Buckets that take nothing without its MD5."""
        return set()

    @cached_property
    def _keys(self) -> Keys | None:
        return keys(self._settings)

    @cached_property
    def _client(self) -> Any:
        return self._make(self._settings.s3_endpoint, self._http)

    @cached_property
    def _file_client(self) -> Any:
        return self._make(self._settings.s3_endpoint, self._file_http)

    @cached_property
    def _public(self) -> Any:
        public = self._settings.s3_public_endpoint
        return self._make(public, self._http) if public else self._client

    def _call(self, operation: str, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call with retries; whatever the SDK raises becomes a Fault."""
        for pause in (*RETRY_PAUSES_S, None):
            try:
                return function(*arguments)
            except _failures() as error:
                STORE_ERRORS.labels(operation).inc()
                fault = explain(error, what)
                if pause is None or fault.code is not ErrorCode.STORE_UNAVAILABLE:
                    raise fault from error
                if self._closing.wait(pause):
                    raise fault from error
        raise AssertionError("unreachable")

    def _put(
        self,
        bucket: str,
        key: str,
        body: Callable[[], Iterator[bytes]],
        size: int,
        sha256: str,
        content_type: str,
        if_absent: bool,
        if_match: str | None,
    ) -> str | None:
        headers = {"Content-Type": content_type, SHA256_META: sha256}
        if if_absent:
            headers["If-None-Match"] = "*"
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        what = f"put object {key!r} in bucket {bucket!r}"
        put = partial(self._put_once, bucket, key, body, size, sha256)
        return self._call("put", what, self._put_as_wanted, put, bucket, body, headers)

    def _put_as_wanted(
        self,
        put: Callable[[dict[str, str]], str | None],
        bucket: str,
        body: Callable[[], Iterator[bytes]],
        headers: dict[str, str],
    ) -> str | None:
        """One PUT, and another with the MD5 where the bucket asks for it (Object Lock does)."""
        from minio.error import S3Error

        if bucket not in self._hashing:
            try:
                return put(headers)
            except S3Error as error:
                if MD5_HEADER.lower() not in (error.message or "").lower():
                    raise
                self._hashing.add(bucket)
        return put({**headers, MD5_HEADER: _md5(body())})

    def _put_once(
        self,
        bucket: str,
        key: str,
        body: Callable[[], Iterator[bytes]],
        size: int,
        sha256: str,
        headers: dict[str, str],
    ) -> str | None:
        """One signed PUT. The URL comes from the SDK, so that keys are escaped as it does."""
        url = urlsplit(self._client.get_presigned_url("PUT", bucket, key))._replace(query="")
        http = self._http if size <= SMALL_BYTES else self._file_http
        data = body() if size else b""
        answer = self._signed(
            "PUT", url, {**headers, "Content-Length": str(size)}, data, sha256, http
        )
        if answer.status == HTTPStatus.OK:
            return etag_of(answer)
        conditional = "If-Match" in headers or "If-None-Match" in headers
        if answer.status == HTTPStatus.PRECONDITION_FAILED and conditional:
            return None
        error = _error_of(answer)
        if "If-Match" in headers and getattr(error, "code", None) == "NoSuchKey":
            return None
        raise error

    def _signed(
        self,
        method: str,
        url: SplitResult,
        headers: dict[str, str],
        body: bytes | Iterator[bytes],
        sha256: str,
        http: Any,
    ) -> Any:
        region = self._settings.s3_region
        return signed_call(http, self._keys, region, method, url, headers, body, sha256)

    def _get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        def get() -> tuple[bytes, str]:
            answer = self._client.get_object(bucket, key)
            try:
                length(answer)
                return answer.read(MOST_READ), etag_of(answer)
            finally:
                answer.close()
                answer.release_conn()

        try:
            return self._call("get", f"get object {key!r} in bucket {bucket!r}", _missing(get))
        except Missing:
            return None

    def _stat(self, bucket: str, key: str) -> Stat | None:
        def stat() -> Stat:
            found = self._client.stat_object(bucket, key)
            if found.size is None or not found.etag:
                raise OSError(HEADLESS)
            meta = found.metadata or {}
            return Stat(found.size, found.etag, meta.get(SHA256_META), found.last_modified)

        try:
            return self._call("stat", f"stat object {key!r} in bucket {bucket!r}", _missing(stat))
        except Missing:
            return None

    def _open_at(self, ref: ObjectRef, offset: int, etag: str | None) -> Opened:
        """Open an object for `download`: retries are its business, so none are made here."""
        from minio.error import S3Error

        headers = {"If-Match": f'"{etag}"'} if etag else None
        try:
            answer = self._file_client.get_object(
                ref.bucket, ref.key, offset=offset, request_headers=headers
            )
        except _failures() as error:
            STORE_ERRORS.labels("fetch").inc()
            if isinstance(error, S3Error) and error.code == "PreconditionFailed":
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

    def _presign(self, bucket: str, key: str, expires: timedelta) -> tuple[str, datetime]:
        url = str(self._public.presigned_get_object(bucket, key, expires))
        wanted = datetime.now(UTC) + expires
        return url, end_of(self._keys.retrieve(), wanted) if self._keys is not None else wanted

    def _remove(self, bucket: str, key: str) -> None:
        self._client.remove_object(bucket, key)

    def _list(self, bucket: str, prefix: str) -> list[tuple[str, Stat]]:
        return [
            entry(found)
            for found in self._client.list_objects(bucket, prefix=prefix, recursive=True)
        ]

    def _page(self, bucket: str, prefix: str, after: str, limit: int) -> list[tuple[str, Stat]]:
        found = self._client.list_objects(
            bucket, prefix=prefix, recursive=True, start_after=after or None
        )
        return [entry(each) for each in islice(found, limit)]

    def _remove_all(self, bucket: str, keys: list[str]) -> list[str]:
        from minio.deleteobjects import DeleteObject

        wanted = [DeleteObject(key) for key in keys]
        return [str(kept.name) for kept in self._client.remove_objects(bucket, wanted)]

    def _server_time(self) -> datetime:
        answer = self._http.request("HEAD", self._settings.s3_endpoint, redirect=False)
        said = answer.headers.get("date")
        if said is None:
            raise OSError(HEADLESS)
        return parsedate_to_datetime(said).astimezone(UTC)

    def _bucket_exists(self, bucket: str) -> bool:
        return bool(self._client.bucket_exists(bucket))

    def _ensure(self, bucket: str) -> bool:
        from minio.error import S3Error

        if self._client.bucket_exists(bucket):
            return False
        try:
            self._client.make_bucket(bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
            return False  # another replica was quicker
        return True

    def _lifecycle(self, method: str, bucket: str, body: bytes = b"") -> bytes:
        """The bucket's lifecycle as XML, read or written as it is; empty where it has none.

        Not by the SDK's own calls: its model of the rules drops what it does not know.
        """
        # there is no public call that builds the URL of a bucket
        at = urlsplit(self._client.get_presigned_url("GET", bucket, "x"))
        url = at._replace(path=at.path.removesuffix("x"), query="lifecycle=")
        headers = {MD5_HEADER: _md5([body])} if body else {}
        sha256 = hashlib.sha256(body).hexdigest()
        answer = self._signed(method, url, headers, body, sha256, self._http)
        if answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            return bytes(answer.data)
        error = _error_of(answer)
        if getattr(error, "code", None) == "NoSuchLifecycleConfiguration":
            return b""
        lifecycle_missing(error)
        raise error

    def _get_lifecycle(self, bucket: str) -> Rules:
        xml = self._lifecycle("GET", bucket)
        return expiry_rules.read_rules(xml) if xml else Rules()

    def _set_lifecycle(
        self, bucket: str, rules: Sequence[Expiry], old_versions_days: int | None
    ) -> None:
        before = self._lifecycle("GET", bucket)
        wanted = expiry_rules.merged(before or None, rules, old_versions_days)
        self._lifecycle("PUT", bucket, wanted)

    def _keeps_versions(self, bucket: str) -> bool:
        from minio.error import S3Error

        try:
            return self._client.get_bucket_versioning(bucket).status in ("Enabled", "Suspended")
        except S3Error as error:
            if error.code in ("NotImplemented", "MethodNotAllowed", "AccessDenied"):
                return False
            raise


def _md5(blocks: Iterable[bytes]) -> str:
    """As `Content-MD5` has it (RFC 1864)."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return b64encode(digest.digest()).decode()


def _error_of(answer: Any) -> Exception:
    """The error that an answer carries."""
    from minio.error import S3Error

    if not answer.data:
        return OSError(f"the store answers {answer.status}")
    return cast("Exception", S3Error.fromxml(answer))


@cache
def _failures() -> tuple[type[Exception], ...]:
    """What calls of the SDK raise; `ParseError` where something answers that is no S3 store."""
    from xml.etree.ElementTree import ParseError

    import urllib3.exceptions
    from minio.error import MinioException

    return (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError, ParseError)


def _missing(function: Callable[[], T]) -> Callable[[], T]:
    """Turn NoSuchKey into Missing, which is an answer and no failure."""

    def call() -> T:
        from minio.error import S3Error

        try:
            return function()
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise Missing from error
            raise

    return call
