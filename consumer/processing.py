"""Puts the work together: store, scratch, workers and the outcome, opened and closed as one.

Opening never waits for a worker or for the store: the service joins its group first, and jobs
wait for what they need.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog

from consumer.background import in_background
from consumer.faults import Fault
from consumer.jobs import Announcer, JobProcessor
from consumer.metrics import MIN_FREE_BYTES, STORE_UP, STORE_WAITING
from consumer.scratch import Scratch
from consumer.settings import Settings
from consumer.store.lease import Leases
from consumer.store.patience import WAITS
from consumer.store.storage import Storage
from consumer.store.sweeper import Sweeper
from consumer.work.attempt import Attempts
from consumer.work.avatars import Avatars
from consumer.work.outcome import Outcome
from consumer.workers.protocol import PIPELINE
from consumer.workers.slots import Fleet

CHECK_EVERY_S = 5.0
MOST_SHOWN = 5
log = structlog.get_logger(__name__)


class Processing:
    """What the subscriber and the health page need to know of the work."""

    def __init__(
        self,
        settings: Settings,
        processor: JobProcessor,
        fleet: Fleet,
        scratch: Scratch,
        storage: Storage,
        sweeper: Sweeper,
    ) -> None:
        self.processor = processor
        self._settings = settings
        self._sweeper = sweeper
        self._fleet = fleet
        self._scratch = scratch
        self._storage = storage
        self._store_error: str | None = "not asked yet"

    @property
    def capacity(self) -> int:
        """Renders that can run at a time."""
        return self._fleet.capacity

    @property
    def renders(self) -> bool:
        """True while a render runs."""
        return self._fleet.busy

    def health(self) -> dict[str, Any]:
        """Facts for `/health`, JSON types only."""
        free = self._scratch.free_bytes()
        return {
            "workers": self._fleet.health(),
            "engines": self._fleet.engines(),
            "capacity": self.capacity,
            "store": {
                "ok": self._store_error is None,
                "error": self._store_error,
                "waiting": WAITS.overdue()[:MOST_SHOWN],
                "bucket": self._settings.s3_bucket,
                "expiry": self._sweeper.state,
            },
            "disk": {
                "ok": free >= self._settings.min_free_bytes,
                "free_bytes": free,
                "min_free_bytes": self._settings.min_free_bytes,
                "folder": str(self._scratch.folder),
            },
        }

    def why_not_ready(self) -> str | None:
        """What is missing before a job can be worked on here; None when nothing is."""
        if not self._fleet.ready:
            return self._fleet.why_not_ready() or "no worker is ready"
        if self._store_error is not None:
            return f"the object store cannot be used: {self._store_error}"
        return self._scratch.nearly_full()

    def free_to_admit(self) -> str | None:
        """Why intake must pause now; None when it may go on."""
        return self._scratch.nearly_full() or self._fleet.why_not_ready()

    async def watch_store(self, bucket: str) -> None:
        """Make the bucket if it is missing and may be made, then ask for it again and again."""
        made = False
        while True:
            try:
                if not made:
                    made = True
                    if await self._storage.ensure_bucket(bucket):
                        log.info("bucket made", bucket=bucket)
                await self._storage.check()
                self._store_error = None
                STORE_UP.set(1)
            except Fault as fault:
                if self._store_error != fault.error.message:
                    log.warning("store not usable", error=str(fault))
                self._store_error = fault.error.message
                STORE_UP.set(0)
                made = False
            STORE_WAITING.set(len(WAITS.overdue()))
            await asyncio.sleep(CHECK_EVERY_S if self._store_error is None else 1.0)


@asynccontextmanager
async def open_processor(
    settings: Settings, announcer: Announcer, *, renderer: str = PIPELINE
) -> AsyncIterator[Processing]:
    """Start the work in the background, and end it and its files on the way out.

    Args:
        renderer: `MODULE:FUNCTION` that the workers call; tests put a cheap one here.

    Raises:
        Fault: the scratch folder cannot be used.
    """
    scratch = Scratch(settings)
    scratch.open()
    storage = Storage(settings)
    fleet = Fleet(settings, renderer)
    leases = Leases(
        storage,
        settings.s3_bucket,
        owner=f"{settings.replica}/{uuid.uuid4().hex[:12]}",
        ttl_s=settings.lease_s,
        static=settings.kafka_instance is not None,
    )
    sweeper = Sweeper(settings, storage, leases)
    avatars = Avatars(settings, storage)
    attempts = Attempts(settings, storage, fleet, scratch, avatars, announcer.progress)
    outcome = Outcome(settings, storage, fleet, leases, attempts, announcer)
    processing = Processing(settings, outcome, fleet, scratch, storage, sweeper)
    MIN_FREE_BYTES.set(settings.min_free_bytes)
    fleet.start()
    try:
        async with in_background(
            {
                "janitor": scratch.run_janitor,
                "store": partial(processing.watch_store, settings.s3_bucket),
                "sweeper": sweeper.run,
                "avatars": avatars.run,
            }
        ):
            yield processing
    finally:
        await fleet.stop()
        storage.close()
        scratch.close()
