"""The coroutines of the object store, over calls that block: what `consumer.storage` builds on.

Blocking calls run in threads of two small pools, one for files and one for the small objects, so
that no lease waits behind an upload.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from consumer.download import BLOCK, Fetched, Opened, Stopped, download
from consumer.settings import Settings
from consumer.store_facts import Expiry, Rules, Stat, Stored, denied
from consumer.threads import DaemonPool
from schemas.refs import ObjectRef

FILE_THREADS, SMALL_THREADS = 8, 8
STOP_S = 1.0
"""How long a cancelled transfer is waited for, so that its file can be removed for good."""
JSON = "application/json"
T = TypeVar("T")


class AsyncStore(ABC):
    """Every coroutine raises Fault, and nothing of the SDK's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = DaemonPool(FILE_THREADS, "store-files")
        self._small = DaemonPool(SMALL_THREADS, "store-small")
        self._closing = threading.Event()

    def close(self) -> None:
        """Let the threads end; transfers that nobody awaits stop at their next block."""
        self._closing.set()
        self._files.close()
        self._small.close()

    # --- files

    async def fetch(self, ref: ObjectRef, path: Path, limit: int) -> Fetched:
        """Stream an object to a file, with its SHA-256; see `consumer.download`.

        Raises:
            Fault: INPUT_NOT_FOUND, INPUT_TOO_LARGE, STORE_DENIED, STORE_UNAVAILABLE, SCRATCH_FULL.
        """
        stop = threading.Event()
        what = f"object {ref.url}"
        call = partial(download, partial(self._open_at, ref), path, limit, what, stop)
        return await self._in_thread(self._files, call, stop)

    async def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str,
        *,
        sha256: str | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> Stored | None:
        """Upload a file in one PUT; None when the condition did not hold.

        Args:
            sha256: of the file, where it is known already.
            if_absent: only where nothing is under the key.
            if_match: only over the object with this ETag.
        """
        stop = threading.Event()

        def work() -> Stored | None:
            digest = sha256 or file_sha256(path)
            size = path.stat().st_size

            def body() -> Iterator[bytes]:
                with path.open("rb") as source:
                    while block := source.read(BLOCK):
                        if stop.is_set():
                            raise Stopped
                        yield block

            etag = self._put(bucket, key, body, size, digest, content_type, if_absent, if_match)
            return None if etag is None else Stored(size, digest, etag)

        return await self._in_thread(self._files, work, stop)

    # --- small objects

    async def put(
        self,
        bucket: str,
        key: str,
        data: bytes,
        *,
        content_type: str = JSON,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str | None:
        """Write bytes; the new ETag, or None when the condition did not hold."""

        def body() -> Iterator[bytes]:
            yield data

        digest = hashlib.sha256(data).hexdigest()
        call = partial(
            self._put, bucket, key, body, len(data), digest, content_type, if_absent, if_match
        )
        return await self._in_thread(self._small, call)

    async def put_if_absent(self, bucket: str, key: str, data: bytes) -> bool:
        """Write bytes where nothing is; False when something is there already that differs.

        A repeat after a cut connection finds its own bytes: that counts as written.
        """
        if await self.put(bucket, key, data, if_absent=True) is not None:
            return True
        found = await self.get(bucket, key)
        return found is not None and found[0] == data

    async def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object's bytes, `MOST_READ` at most, and ETag; None when there is none."""
        return await self._in_thread(self._small, partial(self._get, bucket, key))

    async def stat(self, bucket: str, key: str) -> Stat | None:
        """An object's facts; None when there is none."""
        return await self._in_thread(self._small, partial(self._stat, bucket, key))

    async def remove(self, bucket: str, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        what = f"remove object {key!r} in bucket {bucket!r}"
        call = partial(self._call, "remove", what, self._remove, bucket, key)
        await self._in_thread(self._small, call)

    async def list_objects(self, bucket: str, prefix: str) -> list[tuple[str, Stat]]:
        """Keys and facts of all objects under a prefix, in key order."""
        call = partial(self._call, "list", _under(bucket, prefix), self._list, bucket, prefix)
        return await self._in_thread(self._small, call)

    async def list_page(
        self, bucket: str, prefix: str, after: str, limit: int
    ) -> list[tuple[str, Stat]]:
        """At most `limit` keys and facts under a prefix, in key order, behind the key `after`."""
        call = partial(
            self._call, "list", _under(bucket, prefix), self._page, bucket, prefix, after, limit
        )
        return await self._in_thread(self._small, call)

    async def remove_all(self, bucket: str, keys: Sequence[str]) -> list[str]:
        """Remove at most 1000 objects in one call; the keys that the server kept."""
        call = partial(
            self._call,
            "remove",
            f"remove {len(keys)} objects in bucket {bucket!r}",
            self._remove_all,
            bucket,
            list(keys),
        )
        return await self._in_thread(self._small, call)

    async def server_time(self) -> datetime:
        """What the store's clock says, by the `Date` of an answer (RFC 9110, to the second)."""
        call = partial(self._call, "clock", "the store's clock", self._server_time)
        return await self._in_thread(self._small, call)

    async def presign_get(self, bucket: str, key: str, life_s: int) -> tuple[str, datetime]:
        """A URL that serves the object to anybody for `life_s` seconds, and when it ends.

        That is sooner where the keys that sign it are temporary. No call to the store.
        """
        what, expires = f"sign for object {key!r} in bucket {bucket!r}", timedelta(seconds=life_s)
        call = partial(self._call, "presign", what, self._presign, bucket, key, expires)
        return await self._in_thread(self._small, call)

    # --- buckets

    async def ensure_bucket(self, bucket: str) -> bool:
        """Make the bucket when there is none; True when it was made."""
        call = partial(self._call, "ensure", f"bucket {bucket!r}", self._ensure, bucket)
        return await self._in_thread(self._small, call)

    async def check(self) -> None:
        """Raise Fault unless the service's bucket can be reached."""
        bucket = self._settings.s3_bucket
        there = await self._in_thread(
            self._small,
            partial(self._call, "check", f"bucket {bucket!r}", self._bucket_exists, bucket),
        )
        if not there:
            raise denied(f"bucket {bucket!r} does not exist")

    async def get_lifecycle(self, bucket: str) -> Rules:
        """What the server says it expires; NoLifecycle where it has no such thing."""
        what = f"lifecycle of bucket {bucket!r}"
        call = partial(self._call, "lifecycle", what, self._get_lifecycle, bucket)
        return await self._in_thread(self._small, call)

    async def set_lifecycle(
        self, bucket: str, rules: Sequence[Expiry], old_versions_days: int | None = None
    ) -> None:
        """Set these rules; others of the bucket stay. NoLifecycle where the server has none.

        Args:
            old_versions_days: days after which old versions of these objects go; None keeps them.
        """
        what = f"lifecycle of bucket {bucket!r}"
        change = partial(self._set_lifecycle, bucket, rules, old_versions_days)
        await self._in_thread(self._small, partial(self._call, "lifecycle", what, change))

    async def keeps_versions(self, bucket: str) -> bool:
        """True when a removed object stays as an old version; False where the server cannot say."""
        what = f"versioning of bucket {bucket!r}"
        call = partial(self._call, "versions", what, self._keeps_versions, bucket)
        return await self._in_thread(self._small, call)

    # --- threads

    async def _in_thread(
        self, pool: DaemonPool, call: Callable[[], T], stop: threading.Event | None = None
    ) -> T:
        future = pool.submit(call)
        if stop is None:
            return await future
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()  # a transfer ends at its next block; a hanging one is left behind
            await asyncio.wait([future], timeout=STOP_S)
            if future.done() and not future.cancelled():
                future.exception()
            raise

    # --- what blocks, and is the SDK's business

    @abstractmethod
    def _call(self, operation: str, what: str, function: Callable[..., T], *arguments: object) -> T:
        """Call with retries; whatever the SDK raises becomes a Fault."""

    @abstractmethod
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
    ) -> str | None: ...

    @abstractmethod
    def _get(self, bucket: str, key: str) -> tuple[bytes, str] | None: ...

    @abstractmethod
    def _stat(self, bucket: str, key: str) -> Stat | None: ...

    @abstractmethod
    def _open_at(self, ref: ObjectRef, offset: int, etag: str | None) -> Opened: ...

    @abstractmethod
    def _presign(self, bucket: str, key: str, expires: timedelta) -> tuple[str, datetime]: ...

    @abstractmethod
    def _remove(self, bucket: str, key: str) -> None: ...

    @abstractmethod
    def _list(self, bucket: str, prefix: str) -> list[tuple[str, Stat]]: ...

    @abstractmethod
    def _page(self, bucket: str, prefix: str, after: str, limit: int) -> list[tuple[str, Stat]]: ...

    @abstractmethod
    def _remove_all(self, bucket: str, keys: list[str]) -> list[str]: ...

    @abstractmethod
    def _server_time(self) -> datetime: ...

    @abstractmethod
    def _bucket_exists(self, bucket: str) -> bool: ...

    @abstractmethod
    def _ensure(self, bucket: str) -> bool: ...

    @abstractmethod
    def _get_lifecycle(self, bucket: str) -> Rules: ...

    @abstractmethod
    def _set_lifecycle(
        self, bucket: str, rules: Sequence[Expiry], old_versions_days: int | None
    ) -> None: ...

    @abstractmethod
    def _keeps_versions(self, bucket: str) -> bool: ...


def _under(bucket: str, prefix: str) -> str:
    return f"list prefix {prefix!r} in bucket {bucket!r}"


def file_sha256(path: Path) -> str:
    """Hex digest of a file; blocks."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
