"""A lease that this replica holds: renewed in the background, counted, confirmed and given back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from consumer.background import ended, lasting
from consumer.faults import Fault
from consumer.store.marker import MarkerFile, dump, held_by
from schemas.codes import ErrorCode
from schemas.manifest import AttemptMarker, Lease

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Another replica took the render over."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How a lease was taken."""

    marker: AttemptMarker
    """What was written; it bears our token."""
    etag: str
    """Of that version."""
    before: AttemptMarker | None
    """What it went over; None when nobody had begun."""
    asked: float
    """Second of `time.monotonic` before it was written; the answer may be read much later."""


class Held:
    """A lease that is held, renewed in the background inside `async with`.

    Args:
        render_id: what this holder would make. Until it begins, the marker names what the one
            before it made, so that no death in between hides an outcome.
        conditions: whether the server honours conditional writes.
    """

    def __init__(
        self, file: MarkerFile, taken: Taken, *, render_id: str, ttl_s: float, conditions: bool
    ) -> None:
        self.lost = asyncio.Event()
        self._file = file
        self._ttl_s = ttl_s
        self._marker = taken.marker
        self._etag = taken.etag
        self._before = taken.before
        self._render_id = render_id
        self._conditions = conditions
        self._renewed = taken.asked
        self._writing = asyncio.Lock()
        self._beat: asyncio.Task[None] | None = None

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
        beating = lasting("lease", self._renew, self._retry_s)
        self._beat = asyncio.create_task(beating, name="lease")
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._beat)

    async def start_attempt(self) -> int:
        """Count one more attempt, which also proves that the lease is still ours.

        Raises:
            LeaseLost: it is not.
            Fault: the store does not answer.
        """
        count = self._base_attempt + 1
        await self._write(attempt=count, last_error=None, render_id=self._render_id)
        return count

    async def confirm(self) -> None:
        """Make sure that the lease is still ours; asks the store only when that is in doubt.

        Raises:
            LeaseLost: it is not.
            Fault: the store does not answer.
        """
        if self.lost.is_set():
            raise LeaseLost
        if time.monotonic() - self._renewed > self._ttl_s / 2:
            await self._write()

    async def release(
        self,
        *,
        last_error: str | None = None,
        refund: bool = False,
        render_id: str | None = None,
    ) -> None:
        """Give the lease back.

        Args:
            last_error: why the attempt failed; it is counted, whether it had started or not.
            refund: the attempt was broken off for no fault of its own, and does not count.
            render_id: of the outcome that is there, which may be of another engine revision; the
                marker names it from now on, so that the next one finds it, too.
        """
        await ended(self._beat)
        attempt = self._marker.attempt
        if refund:
            attempt = self._base_attempt
            last_error = self._before.last_error if self._before is not None else None
        elif last_error is not None:
            attempt = self.counted
        await self._write(attempt=attempt, last_error=last_error, free=True, render_id=render_id)

    @property
    def _base_attempt(self) -> int:
        return self._before.attempt if self._before is not None else 0

    @property
    def _retry_s(self) -> float:
        """Between two tries to renew it."""
        return min(1.0, self._ttl_s / 6)

    async def _renew(self) -> None:
        failing = False
        while not self.lost.is_set():
            due = self._renewed + self._ttl_s / 3 - time.monotonic()
            await asyncio.sleep(self._retry_s if failing else max(0.0, due))
            try:
                await self._write()
                failing = False
            except Fault as fault:
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
        render_id: str | None = None,
    ) -> None:
        async with self._writing:
            if self.lost.is_set():
                raise LeaseLost
            lease = self._marker.lease
            assert lease is not None
            asked = time.monotonic()
            renewed = lease.model_copy(update={"renewed_at": datetime.now(UTC)})
            change: dict[str, object] = {"lease": None if free else renewed}
            if attempt is not None:
                change |= {"attempt": attempt, "last_error": last_error}
            if render_id is not None:
                change["render_id"] = render_id
            marker = self._marker.model_copy(update=change)
            await self._put(marker, lease)
            self._marker = marker if not free else marker.model_copy(update={"lease": renewed})
            self._renewed = asked

    async def _put(self, marker: AttemptMarker, lease: Lease) -> None:
        """Write a new version over ours, or find out that it is not ours any more."""
        if not self._conditions and not await self._file.is_held_by(lease):
            self._lose()
        etag = await self._file.put(marker, over=self._etag)
        if etag is not None:
            self._etag = etag
            return
        # Somebody else's version, or our own whose answer was lost on the way.
        found, data = await self._file.get(), dump(marker)
        if found is None or (found[0] != data and not held_by(found[0], lease)):
            self._lose()
        assert found is not None
        self._etag = found[1]
        if found[0] != data:
            etag = await self._file.put(marker, over=self._etag)
            if etag is None:
                self._lose()
            self._etag = etag or self._etag

    def _lose(self) -> None:
        self.lost.set()
        log.warning("lease lost", key=self._file.key)
        raise LeaseLost
