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
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from consumer.faults import Fault
from consumer.store.facts import NOTHING
from consumer.store.held_lease import Held, Taken
from consumer.store.marker import MarkerFile, held_by, parse
from consumer.store.storage import Storage
from schemas.manifest import AttemptMarker, Lease

SETTLE_S = 0.5
"""On a server without conditions: a rival's write that raced ours has landed after this."""
log = structlog.get_logger(__name__)


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
        """Ask the server once whether conditional writes are conditional there.

        A bucket that lets nothing be removed keeps what was written to ask, until it expires.
        """
        key = f"attempts/.conditions/{uuid.uuid4().hex}"
        etag = await self.storage.put(self.bucket, key, b"1", over=NOTHING)
        try:
            twice = await self.storage.put(self.bucket, key, b"2", over=NOTHING)
            wrong = await self.storage.put(self.bucket, key, b"3", over="0" * 32)
        finally:
            try:
                await self.storage.remove(self.bucket, key)
            except Fault as fault:
                log.warning("a probe of the store was left there", key=key, error=str(fault))
        return etag is not None and twice is None and wrong is None


class Watch:
    """One replica's view of one marker, until it holds the lease."""

    def __init__(self, leases: Leases, key: str, job_id: str, render_id: str) -> None:
        self._leases = leases
        self._file = MarkerFile(leases.storage, leases.bucket, key)
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

        Raises:
            Fault: the store does not answer.
        """
        marker = self._marker(None)
        written: str | None = None
        asked = time.monotonic()
        if self._seen is None and conditions:  # most often nobody was here before
            written = await self._file.put(marker, over=NOTHING)
        if written is None:
            found = await self._file.get()
            etag = found[1] if found is not None else None
            old = parse(found[0]) if found is not None else None
            if old is not None and old.lease is not None:
                if old.lease.token == self._token:  # written by us, and the answer was lost
                    return self._held(old, etag, conditions, asked=float("-inf"))
                if not self._stale(old.lease, etag or ""):
                    return None
            self._found, marker = old, self._marker(old)
            written = await self._file.put(marker, over=etag or NOTHING)
        if written is not None and not conditions:
            await asyncio.sleep(SETTLE_S)
        if written is None or not conditions:
            written = await self._read_own(marker)
        return self._held(marker, written, conditions, asked)

    def _held(
        self, marker: AttemptMarker, etag: str | None, conditions: bool, asked: float
    ) -> Held | None:
        if etag is None:
            return None
        before, self._found, self._token = self._found, None, uuid.uuid4().hex
        return Held(
            self._file,
            Taken(marker, etag, before, asked),
            render_id=self._render_id,
            ttl_s=self._leases.ttl_s,
            conditions=conditions,
        )

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
            render_id=old.render_id if old is not None else self._render_id,
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
        found = await self._file.get()
        if found is None or marker.lease is None or not held_by(found[0], marker.lease):
            return None
        return found[1]
