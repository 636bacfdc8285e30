"""The lease in the attempt marker: one replica at a time works on a render, also after a rebalance.

The marker is one small object, `attempts/<job_id>/<wish id>.json`. Whoever writes it under a
condition (nothing there, or still the version that was read) holds the lease, and renews it each
third of its time to live. Others watch. A lease is stale when its marker did not change for a
whole time to live on the watcher's own monotonic clock: wall clocks are never compared, and time
in which the watcher saw no marker counts for little, because the holder may have been cut off just
as well. A holder is never told by time alone that it lost: only by another token in the marker.

Where a server ignores conditions, a token that is read back after a settling pause takes their
place; two replicas may then rarely work at the same time, and the manifest decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType

import structlog
from pydantic import ValidationError

from consumer.faults import Fault
from consumer.storage import Storage
from schemas.codes import ErrorCode
from schemas.manifest import AttemptMarker, Lease

SETTLE_S = 0.5
"""On a server without conditions: a rival's write that raced ours has landed after this."""
log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Another replica took the render over."""


@dataclass(frozen=True, slots=True)
class Leases:
    """How this replica takes leases."""

    storage: Storage
    bucket: str
    owner: str
    """Unique per process start: `<instance or host>/<pid>/<random>`."""
    ttl_s: float
    static: bool = False
    """The first part of the owner is a static group member id: its namesake before us is dead."""

    def watch(self, key: str, job_id: str, render_id: str) -> Watch:
        """Begin to watch the marker of a render."""
        return Watch(self, key, job_id, render_id)

    async def honours_conditions(self) -> bool:
        """Ask the server once whether conditional writes are conditional there."""
        key = f"attempts/.conditions/{uuid.uuid4().hex}"
        etag = await self.storage.put(self.bucket, key, b"1", if_absent=True)
        try:
            twice = await self.storage.put(self.bucket, key, b"2", if_absent=True)
            wrong = await self.storage.put(self.bucket, key, b"3", if_match="0" * 32)
        finally:
            await self.storage.remove(self.bucket, key)
        return etag is not None and twice is None and wrong is None


class Watch:
    """One replica's view of one marker, until it holds the lease."""

    def __init__(self, leases: Leases, key: str, job_id: str, render_id: str) -> None:
        self._leases = leases
        self._key = key
        self._job_id = job_id
        self._render_id = render_id
        self._seen: str | None = None
        self._looked = 0.0
        self._silent_s = 0.0
        self._token = uuid.uuid4().hex
        """Of the claim that is tried now; the next one after it was held has another."""
        self._found: AttemptMarker | None = None
        """What the last write of a claim went over."""

    @property
    def pause_s(self) -> float:
        """How long to wait before the next look."""
        return min(2.0, self._leases.ttl_s / 6)

    async def claim_within(self, limit_s: float, *, conditions: bool) -> Held | None:
        """Look for that long at most; None when another still holds it then."""
        end = time.monotonic() + limit_s
        while (held := await self.try_claim(conditions=conditions)) is None:
            if time.monotonic() > end:
                break
            await asyncio.sleep(self.pause_s)
        return held

    async def try_claim(self, *, conditions: bool) -> Held | None:
        """Take the lease if it is free or stale; None while another holds it.

        Args:
            conditions: what `honours_conditions` said.

        Raises:
            Fault: the store does not answer.
        """
        storage, bucket = self._leases.storage, self._leases.bucket
        marker = self._marker(None)
        written: str | None = None
        if self._seen is None and conditions:  # most often nobody was here before
            written = await storage.put(bucket, self._key, _dump(marker), if_absent=True)
        if written is None:
            found = await storage.get(bucket, self._key)
            etag = found[1] if found is not None else None
            old = _parse(found[0]) if found is not None else None
            if old is not None and old.lease is not None:
                if old.lease.token == self._token:  # written by us, and the answer was lost
                    return self._held(old, etag, conditions)
                if not self._stale(old.lease, etag or ""):
                    return None
            self._found, marker = old, self._marker(old)
            written = await storage.put(
                bucket, self._key, _dump(marker), if_absent=etag is None, if_match=etag
            )
        if written is not None and not conditions:
            await asyncio.sleep(SETTLE_S)
        if written is None or not conditions:
            written = await self._read_own(marker)
        return self._held(marker, written, conditions)

    def _held(self, marker: AttemptMarker, etag: str | None, conditions: bool) -> Held | None:
        if etag is None:
            return None
        before, self._found, self._token = self._found, None, uuid.uuid4().hex
        return Held(self._leases, self._key, marker, etag, before, conditions=conditions)

    def _marker(self, old: AttemptMarker | None) -> AttemptMarker:
        now = datetime.now(UTC)
        lease = Lease(
            owner=self._leases.owner,
            token=self._token,
            renewed_at=now,
            ttl_s=self._leases.ttl_s,
        )
        return AttemptMarker(
            job_id=self._job_id,
            render_id=self._render_id,
            attempt=old.attempt if old is not None else 0,
            lease=lease,
            last_error=old.last_error if old is not None else None,
            first_started_at=old.first_started_at if old is not None else now,
        )

    def _stale(self, lease: Lease, etag: str) -> bool:
        leases, now = self._leases, time.monotonic()
        mine, theirs = leases.owner.split("/")[0], lease.owner.split("/")[0]
        if leases.static and mine == theirs and lease.owner != leases.owner:
            return True
        if etag != self._seen:
            self._seen, self._silent_s = etag, 0.0
        else:
            # not seen for longer: the store was away, and for the holder it was away, too
            self._silent_s += min(now - self._looked, lease.ttl_s / 3)
        self._looked = now
        return self._silent_s > lease.ttl_s

    async def _read_own(self, marker: AttemptMarker) -> str | None:
        """The ETag of the marker in the store if it bears our token."""
        found = await self._leases.storage.get(self._leases.bucket, self._key)
        return found[1] if found is not None and _same_token(_parse(found[0]), marker) else None


class Held:
    """A lease that is held, renewed in the background inside `async with`."""

    def __init__(
        self,
        leases: Leases,
        key: str,
        marker: AttemptMarker,
        etag: str,
        before: AttemptMarker | None,
        *,
        conditions: bool,
    ) -> None:
        self.lost = asyncio.Event()
        self._leases = leases
        self._key = key
        self._marker = marker
        self._etag = etag
        self._before = before
        self._conditions = conditions
        self._renewed = time.monotonic()
        self._writing = asyncio.Lock()
        self._beat_task: asyncio.Task[None] | None = None

    @property
    def attempt(self) -> int:
        """Attempts started so far."""
        return self._marker.attempt

    @property
    def counted(self) -> int:
        """Attempts, this one included, whether it got as far as the render or not."""
        return max(self._marker.attempt, self._base_attempt + 1)

    @property
    def before(self) -> AttemptMarker | None:
        """The marker as it was found; None when nobody had begun."""
        return self._before

    @property
    def crashed_before(self) -> bool:
        """True when the last attempt took its process with it, or vanished with its replica."""
        old = self._before
        if old is None or old.attempt == 0:
            return False
        return old.last_error in (None, ErrorCode.WORKER_CRASHED, ErrorCode.WORKER_STALLED)

    async def __aenter__(self) -> Held:
        self._beat_task = asyncio.create_task(self._beat(), name="lease")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop_beat()

    async def start_attempt(self) -> int:
        """Count one more attempt, which also proves that the lease is still ours.

        Raises:
            LeaseLost: it is not.
            Fault: the store does not answer.
        """
        count = self._base_attempt + 1
        await self._write(attempt=count, last_error=None)
        return count

    async def confirm(self) -> None:
        """Make sure that the lease is still ours; asks the store only when that is in doubt."""
        if self.lost.is_set():
            raise LeaseLost
        if time.monotonic() - self._renewed > self._leases.ttl_s / 2:
            await self._write()

    async def release(self, *, last_error: str | None = None, refund: bool = False) -> None:
        """Give the lease back.

        Args:
            last_error: why the attempt failed; it is counted, whether it had started or not.
            refund: the attempt was broken off for no fault of its own, and does not count.
        """
        await self._stop_beat()
        attempt = self._marker.attempt
        if refund:
            attempt = self._base_attempt
            last_error = self._before.last_error if self._before is not None else None
        elif last_error is not None:
            attempt = self.counted
        await self._write(attempt=attempt, last_error=last_error, free=True)

    @property
    def _base_attempt(self) -> int:
        return self._before.attempt if self._before is not None else 0

    async def _stop_beat(self) -> None:
        task, self._beat_task = self._beat_task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _beat(self) -> None:
        pause, failing = self._leases.ttl_s / 3, False
        while not self.lost.is_set():
            await asyncio.sleep(pause)
            try:
                await self._write()
                pause, failing = self._leases.ttl_s / 3, False
            except Fault as fault:
                pause = min(1.0, self._leases.ttl_s / 6)
                if not failing:
                    log.warning("lease not renewed; trying on", error=str(fault))
                failing = True
            except LeaseLost:
                return

    async def _write(
        self,
        *,
        attempt: int | None = None,
        last_error: str | None = None,
        free: bool = False,
    ) -> None:
        async with self._writing:
            if self.lost.is_set():
                raise LeaseLost
            lease = self._marker.lease
            assert lease is not None
            renewed = lease.model_copy(update={"renewed_at": datetime.now(UTC)})
            change: dict[str, object] = {"lease": None if free else renewed}
            if attempt is not None:
                change |= {"attempt": attempt, "last_error": last_error}
            marker = self._marker.model_copy(update=change)
            await self._put(marker, lease)
            self._marker = marker if not free else marker.model_copy(update={"lease": renewed})
            self._renewed = time.monotonic()

    async def _put(self, marker: AttemptMarker, lease: Lease) -> None:
        """Write a new version over ours, or find out that it is not ours any more."""
        leases, data = self._leases, _dump(marker)
        if not self._conditions and not await self._still_ours(lease):
            self._lose()
        etag = await leases.storage.put(leases.bucket, self._key, data, if_match=self._etag)
        if etag is not None:
            self._etag = etag
            return
        # Somebody else's version, or our own whose answer was lost on the way.
        found = await leases.storage.get(leases.bucket, self._key)
        if found is None or (found[0] != data and not _held_by(found[0], lease)):
            self._lose()
        assert found is not None
        self._etag = found[1]
        if found[0] != data:
            etag = await leases.storage.put(leases.bucket, self._key, data, if_match=self._etag)
            if etag is None:
                self._lose()
            self._etag = etag or self._etag

    async def _still_ours(self, lease: Lease) -> bool:
        found = await self._leases.storage.get(self._leases.bucket, self._key)
        return found is not None and _held_by(found[0], lease)

    def _lose(self) -> None:
        self.lost.set()
        log.warning("lease lost", key=self._key)
        raise LeaseLost


def _dump(marker: AttemptMarker) -> bytes:
    return marker.model_dump_json().encode()


def _parse(data: bytes) -> AttemptMarker | None:
    """The marker; None for what cannot be read, which is then replaced."""
    try:
        return AttemptMarker.model_validate_json(data)
    except ValidationError:
        log.error("attempt marker cannot be read and is replaced")
        return None


def _held_by(data: bytes, lease: Lease) -> bool:
    marker = _parse(data)
    return marker is not None and marker.lease is not None and marker.lease.token == lease.token


def _same_token(found: AttemptMarker | None, marker: AttemptMarker) -> bool:
    if found is None or found.lease is None or marker.lease is None:
        return False
    return found.lease.token == marker.lease.token
