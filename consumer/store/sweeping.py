"""One pass over a bucket that removes what lifecycle rules would: by age, in pages, to an end.

Objects go by age, as the store's own clock sees it, and only under the prefixes of
deploy/lifecycle.yaml that are this service's. A pass reads and removes in pages, so that its memory
does not grow with the bucket, and at most `MAX_REMOVED` objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from consumer.metrics import SWEPT
from consumer.store.facts import Expiry
from consumer.store.lifecycle import LifecycleFileError
from consumer.store.storage import Storage

OURS = ("inputs/", "results/", "avatars/", "attempts/")
"""Nothing outside of these is ever removed, whatever the file says."""
LEASE_KEY = "attempts/.sweeper/lease.json"
PAGE = 1000
"""What one S3 call lists or removes."""
MAX_REMOVED = 100_000
MAX_NAMED = 20
MP4_GRACE = timedelta(hours=1)


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


def _overdue(key: str, modified: datetime, oldest: datetime) -> bool:
    """An MP4 outlives the manifest that was written after it: no manifest names what is gone."""
    if key == LEASE_KEY:
        return False
    return modified < (oldest - MP4_GRACE if key.endswith(".mp4") else oldest)
