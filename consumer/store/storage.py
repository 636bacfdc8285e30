"""The object store: any S3-compatible server, as coroutines.

The calls themselves block (`consumer.store.reads`, `writes`, `buckets`, over the SDK in
`consumer.store.sdk`). They run in threads of two small pools, one for files and one for the small
objects, so that no lease waits behind an upload.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from consumer.faults import Fault
from consumer.remote.download import BLOCK, Stopped, Whole, download
from consumer.settings import Settings
from consumer.store.buckets import Buckets
from consumer.store.facts import NOTHING, Expiry, Rules, Stat, denied
from consumer.store.reads import Reads
from consumer.store.removed import put_over_removed
from consumer.store.sdk import Sdk
from consumer.store.writes import Put, Writes
from consumer.threads import DaemonPool
from schemas.codes import ErrorCode, Stage
from schemas.refs import ObjectRef

FILE_THREADS, SMALL_THREADS = 8, 8
STOP_S = 1.0
"""How long a cancelled transfer is waited for, so that its file can be removed for good."""
JSON = "application/json"
T = TypeVar("T")


class Storage:
    """The store of the settings. Every coroutine raises Fault, and nothing of the SDK's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = DaemonPool(FILE_THREADS, "store-files")
        self._small = DaemonPool(SMALL_THREADS, "store-small")
        self._closing = threading.Event()
        self._sdk = Sdk(settings, FILE_THREADS + SMALL_THREADS, self._closing)
        self._reads, self._writes = Reads(self._sdk), Writes(self._sdk)
        self._buckets = Buckets(self._sdk, settings.s3_endpoint)

    def close(self) -> None:
        """Let the threads end; transfers that nobody awaits stop at their next block."""
        self._closing.set()
        self._files.close()
        self._small.close()
        self._sdk.close()

    # --- files

    async def fetch(self, ref: ObjectRef, path: Path, limit: int) -> Whole:
        """Stream an object to a file, with its SHA-256; see `consumer.remote.download`.

        Raises:
            Fault: INPUT_NOT_FOUND, INPUT_TOO_LARGE, STORE_DENIED, STORE_UNAVAILABLE, SCRATCH_FULL.
        """
        stop = threading.Event()
        what = f"object {ref.url}"
        call = partial(download, partial(self._reads.open_at, ref), path, limit, what, stop)
        return await self._in_thread(self._files, call, stop)

    async def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str,
        *,
        sha256: str | None = None,
        over: str | None = None,
    ) -> Whole | None:
        """Upload a file in one PUT; None when the condition did not hold.

        Args:
            sha256: of the file, where it is known already.
            over: see `Put.over`.
        """
        stop = threading.Event()

        def work() -> Whole | None:
            digest = sha256 or file_sha256(path)
            size = path.stat().st_size

            def body() -> Iterator[bytes]:
                with path.open("rb") as source:
                    while block := source.read(BLOCK):
                        if stop.is_set():
                            raise Stopped
                        yield block

            put = Put(bucket, key, body, size, digest, content_type, over)
            etag = self._put(put)
            return None if etag is None else Whole(size, digest, etag)

        return await self._in_thread(self._files, work, stop)

    # --- small objects

    async def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        over: str | None = None,
    ) -> str | None:
        """Write JSON; the new ETag, or None when the condition of `Put.over` did not hold."""

        def body() -> Iterator[bytes]:
            yield data

        digest = hashlib.sha256(data).hexdigest()
        put = Put(bucket, key, body, len(data), digest, JSON, over)
        return await self._in_thread(self._small, partial(self._put, put))

    def _put(self, put: Put) -> str | None:
        """Blocks; None when the condition did not hold."""
        etag = self._writes.put(put)
        if etag is None and put.over == NOTHING:
            return put_over_removed(self._reads, self._writes, put)
        return etag

    async def put_if_absent(self, bucket: str, key: str, data: bytes) -> bool:
        """Write bytes where nothing is; False when something is there already that differs.

        A repeat after a cut connection finds its own bytes: that counts as written.
        """
        if await self.put(bucket, key, data, over=NOTHING) is not None:
            return True
        found = await self.get(bucket, key)
        return found is not None and found[0] == data

    async def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object's bytes, `MOST_READ` at most, and ETag; None when there is none."""
        return await self._in_thread(self._small, partial(self._reads.get, bucket, key))

    async def stat(self, bucket: str, key: str) -> Stat | None:
        """An object's facts; None when there is none."""
        return await self._in_thread(self._small, partial(self._reads.stat, bucket, key))

    async def remove(self, bucket: str, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        what = f"remove object {key!r} in bucket {bucket!r}"
        await self._call("remove", what, self._writes.remove, bucket, key)

    async def remove_all(self, bucket: str, keys: Sequence[str]) -> list[str]:
        """Remove at most 1000 objects in one call; the keys that the server kept."""
        what = f"remove {len(keys)} objects in bucket {bucket!r}"
        return await self._call("remove", what, self._sdk.remove_all, bucket, list(keys))

    async def list_objects(self, bucket: str, prefix: str) -> list[tuple[str, Stat]]:
        """Keys and facts of all objects under a prefix, in key order."""
        what = _under(bucket, prefix)
        return await self._call("list", what, self._reads.list_all, bucket, prefix)

    async def list_page(
        self, bucket: str, prefix: str, after: str, limit: int
    ) -> list[tuple[str, Stat]]:
        """At most `limit` keys and facts under a prefix, in key order, behind the key `after`."""
        what, page = _under(bucket, prefix), self._reads.list_page
        return await self._call("list", what, page, bucket, prefix, after, limit)

    async def presign_get(
        self, bucket: str, key: str, life_s: int, *, method: Literal["GET", "HEAD"] = "GET"
    ) -> tuple[str, datetime]:
        """A URL that serves the object to anybody for `life_s` seconds, and when it ends.

        That is sooner where the keys that sign it are temporary. No call to the store.

        Args:
            method: the one that the URL serves, as it is signed, too.
        """
        what, expires = f"sign for object {key!r} in bucket {bucket!r}", timedelta(seconds=life_s)
        return await self._call("presign", what, self._reads.presign, bucket, key, expires, method)

    # --- buckets

    async def server_time(self) -> datetime:
        """What the store's clock says, by the `Date` of an answer (RFC 9110, to the second)."""
        return await self._call("clock", "the store's clock", self._buckets.server_time)

    async def ensure_bucket(self, bucket: str) -> bool:
        """Make the bucket when there is none; True when it was made."""
        return await self._call("ensure", f"bucket {bucket!r}", self._buckets.ensure, bucket)

    async def check(self) -> None:
        """Raise Fault unless the service's bucket can be reached, by files and small objects."""
        bucket = self._settings.s3_bucket
        try:
            self._files.check()
        except OSError as error:
            raise _no_thread(error) from error
        if not await self._call("check", f"bucket {bucket!r}", self._buckets.exists, bucket):
            raise denied(f"bucket {bucket!r} does not exist")

    async def get_lifecycle(self, bucket: str) -> Rules:
        """What the server says it expires; NoLifecycle where it has no such thing."""
        what = f"lifecycle of bucket {bucket!r}"
        return await self._call("lifecycle", what, self._buckets.get_lifecycle, bucket)

    async def set_lifecycle(
        self, bucket: str, rules: Sequence[Expiry], old_versions_days: int | None = None
    ) -> None:
        """Set these rules; others of the bucket stay. NoLifecycle where the server has none.

        Args:
            old_versions_days: days after which old versions of these objects go; None keeps them.
        """
        what, change = f"lifecycle of bucket {bucket!r}", self._buckets.set_lifecycle
        await self._call("lifecycle", what, change, bucket, rules, old_versions_days)

    async def keeps_versions(self, bucket: str) -> bool:
        """True when a removed object stays as an old version; False where the server cannot say."""
        what = f"versioning of bucket {bucket!r}"
        return await self._call("versions", what, self._buckets.keeps_versions, bucket)

    # --- threads

    async def _call(
        self, operation: str, what: str, function: Callable[..., T], *arguments: Any
    ) -> T:
        """A small call in a thread, made again where that may help; see `Sdk.call`."""
        call = partial(self._sdk.call, operation, what, function, *arguments)
        return await self._in_thread(self._small, call)

    async def _in_thread(
        self, pool: DaemonPool, call: Callable[[], T], stop: threading.Event | None = None
    ) -> T:
        try:
            future = pool.submit(call)
        except OSError as error:
            raise _no_thread(error) from error
        if stop is None:
            return await future
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()  # a transfer ends at its next block; a hanging one is left behind
            future.add_done_callback(_forget)
            await asyncio.wait([future], timeout=STOP_S)
            raise


def _forget(future: asyncio.Future[Any]) -> None:
    """Take what nobody waits for any more, or it would be logged as an error that nobody took."""
    if not future.cancelled():
        future.exception()


def _no_thread(error: OSError) -> Fault:
    text = f"no thread for calls to the store: {error.strerror}"
    return Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, text)


def _under(bucket: str, prefix: str) -> str:
    return f"list prefix {prefix!r} in bucket {bucket!r}"


def file_sha256(path: Path) -> str:
    """Hex digest of a file; blocks."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
