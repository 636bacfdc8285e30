"""Expiry by our own hand, where the store has no lifecycle rules: what they would remove.

Objects go by age, as the store's own clock sees it, and only under the prefixes of
deploy/lifecycle.yaml that are this service's. A pass reads and removes in pages, so that its memory
does not grow with the bucket, and at most `MAX_REMOVED` objects, so that it ends. One replica at a
time sweeps: it holds a lease like that of a render, in a marker of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from consumer.faults import Fault
from consumer.held import LeaseLost
from consumer.lease import Leases
from consumer.lifecycle import LifecycleFileError, default_path, read
from consumer.metrics import SWEEPS, SWEPT
from consumer.settings import Settings
from consumer.storage import Storage
from consumer.store_facts import Expiry, NoLifecycle

OURS = ("inputs/", "results/", "avatars/", "attempts/")
"""Nothing outside of these is ever removed, whatever the file says."""
LEASE_KEY = "attempts/.sweeper/lease.json"
PAGE = 1000
"""What one S3 call lists or removes."""
MAX_REMOVED = 100_000
MAX_NAMED = 20
MP4_GRACE = timedelta(hours=1)
ERROR_PAUSE_S = 60.0
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Swept:
    """What one rule removed, or would remove."""

    prefix: str
    days: int
    seen: int = 0
    overdue: int = 0
    bytes: int = 0
    removed: int = 0
    kept: int = 0
    """Overdue objects that the server did not let go."""
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all rules."""

    bucket: str
    dry_run: bool
    cut_short: bool
    """More is overdue than one pass removes; the next one goes on."""
    rules: tuple[Swept, ...]

    @property
    def overdue(self) -> int:
        """Objects whose time is over."""
        return sum(rule.overdue for rule in self.rules)

    @property
    def removed(self) -> int:
        """Objects that are gone now."""
        return sum(rule.removed for rule in self.rules)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the log."""
        return {**asdict(self), "overdue": self.overdue, "removed": self.removed}


def check_prefixes(wanted: Sequence[Expiry]) -> None:
    """Refuse rules on what is not this service's.

    Raises:
        LifecycleFileError: names the prefix and those that may be swept.
    """
    for rule in wanted:
        if not rule.prefix.startswith(OURS):
            raise LifecycleFileError(
                f"prefix {rule.prefix!r} is not swept: only {', '.join(OURS)} are this service's"
            )


async def sweep(
    storage: Storage,
    bucket: str,
    wanted: Sequence[Expiry],
    *,
    dry_run: bool,
    now: datetime | None = None,
    most: int = MAX_REMOVED,
) -> Pass:
    """One pass: find what is overdue, and remove it unless this is a dry run.

    Args:
        now: the time to count from; the store's own by default.
        most: objects after which the pass ends.

    Raises:
        LifecycleFileError: a rule names a prefix that is not ours.
        Fault: the store does not answer, or refuses.
    """
    check_prefixes(wanted)
    now = now or await storage.server_time()
    swept = [Swept(rule.prefix, rule.days) for rule in wanted]
    for each in swept:
        left = most - sum(rule.overdue for rule in swept)
        await _sweep_prefix(storage, bucket, each, now, left, dry_run=dry_run)
    full = sum(rule.overdue for rule in swept) >= most
    return Pass(bucket, dry_run, full, tuple(swept))


async def _sweep_prefix(
    storage: Storage, bucket: str, swept: Swept, now: datetime, left: int, *, dry_run: bool
) -> None:
    oldest, after = now - timedelta(days=swept.days), ""
    while left > 0:
        page = await storage.list_page(bucket, swept.prefix, after, PAGE)
        if not page:
            return
        after = page[-1][0]
        swept.seen += len(page)
        old = [
            (key, stat.size)
            for key, stat in page
            if stat.modified is not None and _overdue(key, stat.modified, oldest)
        ][:left]
        left -= len(old)
        swept.overdue += len(old)
        swept.bytes += sum(size for _, size in old)
        swept.examples += [key for key, _ in old[: MAX_NAMED - len(swept.examples)]]
        if old and not dry_run:
            kept = await storage.remove_all(bucket, [key for key, _ in old])
            swept.kept += len(kept)
            swept.removed += len(old) - len(kept)
            SWEPT.labels(swept.prefix).inc(len(old) - len(kept))
        if len(page) < PAGE:
            return


def _overdue(key: str, modified: datetime, oldest: datetime) -> bool:
    """An MP4 outlives the manifest that was written after it: no manifest names what is gone."""
    if key == LEASE_KEY:
        return False
    return modified < (oldest - MP4_GRACE if key.endswith(".mp4") else oldest)


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
            work = asyncio.create_task(
                sweep(self._storage, self._bucket, wanted, dry_run=dry_run), name="sweep"
            )
            lost = asyncio.create_task(held.lost.wait(), name="sweep lease")
            try:
                await asyncio.wait((work, lost), return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    log.warning("sweep broken off: its lease was lost")
                    return None
                done = work.result()
                await held.release()
            finally:
                work.cancel()
                lost.cancel()
                await asyncio.gather(work, lost, return_exceptions=True)
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
