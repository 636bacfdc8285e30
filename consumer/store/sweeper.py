"""Expiry by our own hand, where the store has no lifecycle rules: pass after pass, by one replica.

Whoever sweeps (`consumer.store.sweeping`) holds a lease like that of a render, in a marker of its
own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from consumer.faults import Fault
from consumer.metrics import SWEEPS
from consumer.settings import Settings
from consumer.store.facts import Expiry, NoLifecycle
from consumer.store.held_lease import LeaseLost
from consumer.store.lease import Leases
from consumer.store.lifecycle import default_path, read
from consumer.store.storage import Storage
from consumer.store.sweeping import LEASE_KEY, Pass, sweep
from consumer.waiting import Overtaken, unless

ERROR_PAUSE_S = 60.0
log = structlog.get_logger(__name__)


class Sweeper:
    """Sweeps now and then for the service, when nobody else does.

    The first pass after the start only says what it would remove; the next one removes. So an
    operator who pointed the service at the wrong bucket has one interval to see it.
    """

    def __init__(self, settings: Settings, storage: Storage, leases: Leases) -> None:
        self._settings = settings
        self._storage = storage
        self._bucket = settings.s3_bucket
        self._leases = leases
        self.state: Literal["off", "not asked yet", "the store expires", "sweeping"] = (
            "off" if settings.sweep == "off" else "not asked yet"
        )

    async def run(self) -> None:
        """Pass after pass, for ever."""
        if self.state == "off":
            return
        wanted = read(default_path())
        dry_run = True
        while True:
            pause = self._settings.sweep_interval_s
            try:
                if await self._needed():
                    self.state = "sweeping"
                    done = await self._pass_alone(wanted, dry_run=dry_run)
                    dry_run = dry_run and done is None
                else:
                    self.state = "the store expires"
            except (Fault, LeaseLost) as error:
                SWEEPS.labels("failed").inc()
                log.warning("sweep failed; tried again later", error=repr(error))
                pause = min(pause, ERROR_PAUSE_S)
            await asyncio.sleep(pause)

    async def _needed(self) -> bool:
        if self._settings.sweep == "always":
            return True
        try:
            await self._storage.get_lifecycle(self._bucket)
        except NoLifecycle:
            return True
        return False

    async def _pass_alone(self, wanted: Sequence[Expiry], *, dry_run: bool) -> Pass | None:
        """A pass under the lease; None when another replica has it."""
        conditions = await self._leases.honours_conditions()
        watch = self._leases.watch(LEASE_KEY, "sweeper", "sweeper")
        # a dead holder's lease is stale after its time to live
        patience_s = self._leases.ttl_s + 2 * watch.pause_s
        held = await watch.claim_within(patience_s, conditions=conditions)
        if held is None:
            SWEEPS.labels("elsewhere").inc()
            return None
        async with held:
            work = sweep(self._storage, self._bucket, wanted, dry_run=dry_run)
            try:
                done = await unless(work, held.lost)
            except Overtaken:
                log.warning("sweep broken off: its lease was lost")
                return None
            await held.release()
        SWEEPS.labels("dry" if dry_run else "swept").inc()
        said = "sweep would remove" if dry_run else "sweep removed"
        log.info(said, **_in_short(done))
        return done


def _in_short(done: Pass) -> dict[str, Any]:
    return {
        "bucket": done.bucket,
        "cut_short": done.cut_short,
        **{
            rule.prefix: {"seen": rule.seen, "overdue": rule.overdue, "removed": rule.removed}
            for rule in done.rules
        },
    }
