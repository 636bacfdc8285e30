"""The `minio` SDK: its clients, and calls of it, made again where that may help.

The only module that imports `minio` beside `consumer.store.signing`, and it does so late: the SDK
takes half a second to import, and the service joins its group before that. What reads, writes and
asks about buckets (`consumer.store.reads` and its like) tells the SDK's errors by `code_of`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

from consumer.metrics import STORE_ERRORS
from consumer.settings import Settings
from consumer.store.facts import explain
from consumer.store.signing import Call, Keys, keys, signed_call
from schemas.codes import ErrorCode

CONNECT_S, READ_S, SMALL_READ_S = 5.0, 30.0, 10.0
"""A server that starts may take a connection and never answer it: small calls give up sooner."""
RETRY_PAUSES_S = (0.1, 0.4)
"""Pauses before a call is made again after a cut connection or a 5xx; then it is a Fault."""
T = TypeVar("T")


class Sdk:
    """Clients of the store of the settings; its calls block.

    Args:
        connections: how many calls may be made at a time.
        closing: set when nobody waits any longer.
    """

    def __init__(self, settings: Settings, connections: int, closing: threading.Event) -> None:
        self._settings = settings
        self._connections = connections
        self._closing = closing

    def close(self) -> None:
        """Close the connections."""
        for name in ("http", "file_http"):
            if name in self.__dict__:
                self.__dict__[name].clear()

    @cached_property
    def http(self) -> Any:
        """Connections of small calls."""
        return self._make_pool(SMALL_READ_S)

    @cached_property
    def file_http(self) -> Any:
        """Connections of files, which may be silent for longer."""
        return self._make_pool(READ_S)

    @cached_property
    def keys(self) -> Keys | None:
        """Whom the calls are signed by; None where they are not."""
        return keys(self._settings)

    @cached_property
    def client(self) -> Any:
        """The SDK's client for small calls."""
        return self._make(self._settings.s3_endpoint, self.http)

    @cached_property
    def file_client(self) -> Any:
        """The SDK's client for files."""
        return self._make(self._settings.s3_endpoint, self.file_http)

    @cached_property
    def public(self) -> Any:
        """The SDK's client that signs URLs for others."""
        public = self._settings.s3_public_endpoint
        return self._make(public, self.http) if public else self.client

    def call(self, operation: str, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call with retries; whatever the SDK raises becomes a Fault.

        Args:
            operation: its name in the metrics.
        """
        for pause in (*RETRY_PAUSES_S, None):
            try:
                return function(*arguments)
            except failures() as error:
                STORE_ERRORS.labels(operation).inc()
                fault = explain(error, what)
                if pause is None or fault.code is not ErrorCode.STORE_UNAVAILABLE:
                    raise fault from error
                if self._closing.wait(pause):
                    raise fault from error
        raise AssertionError("unreachable")

    def signed(self, call: Call, http: Any) -> Any:
        """The answer to a call that the SDK has no public name for, over `http` or `file_http`."""
        return signed_call(http, self.keys, self._settings.s3_region, call)

    def url_of(self, bucket: str, key: str) -> SplitResult:
        """An object's URL, its key escaped as the SDK does it."""
        return urlsplit(str(self.client.get_presigned_url("PUT", bucket, key)))._replace(query="")

    def url_of_bucket(self, bucket: str) -> SplitResult:
        """A bucket's URL, for which there is no public call."""
        at = self.url_of(bucket, "x")
        return at._replace(path=at.path.removesuffix("x"))

    def remove_all(self, bucket: str, names: list[str]) -> list[str]:
        """Remove objects in one call; the keys that the server kept."""
        from minio.deleteobjects import DeleteObject

        wanted = [DeleteObject(name) for name in names]
        return [str(kept.name) for kept in self.client.remove_objects(bucket, wanted)]

    def _make_pool(self, read_s: float) -> Any:
        import urllib3

        ca = self._settings.s3_ca
        return urllib3.PoolManager(
            maxsize=self._connections,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(ca) if ca else None,
        )

    def _make(self, endpoint: str, http: Any) -> Any:
        from minio import Minio

        parts = urlsplit(endpoint)
        settings = self._settings
        return Minio(
            parts.netloc,
            credentials=cast("Any", self.keys),
            secure=parts.scheme == "https",
            region=settings.s3_region,
            http_client=http,
        )


@cache
def failures() -> tuple[type[Exception], ...]:
    """What calls of the SDK raise; `ParseError` where something answers that is no S3 store."""
    from xml.etree.ElementTree import ParseError

    import urllib3.exceptions
    from minio.error import MinioException

    return (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError, ParseError)


def code_of(error: Exception) -> str | None:
    """What the server calls an error of the SDK; None for any other."""
    from minio.error import S3Error

    return error.code if isinstance(error, S3Error) else None


def error_of(answer: Any) -> Exception:
    """The error that the raw answer of a call carries."""
    from minio.error import S3Error

    if not answer.data:
        return OSError(f"the store answers {answer.status}")
    return cast("Exception", S3Error.fromxml(answer))
