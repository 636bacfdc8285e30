"""Tells a replica that another live one bears its `KAFKA_GROUP_INSTANCE_ID`.

The brokers give a static member's place to whoever joins with its name last. The client, which
does not name itself in its heartbeats, is told only that its id is unknown; it joins again, and
takes the place back. Two such replicas would do so at every heartbeat for ever, and both would
work on the same jobs.

The one that ends has just taken the place once more, so its twin loses one place after that, too.
Both would end if they counted to the same number: each draws its own, and who has been a member
for longer than a session counts on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog

ENOUGH = range(4, 12)
"""Places lost in a row. A few may have been an operator's doing, or a coordinator's that moved."""
SENIOR = 10
"""How many more a replica bears that was there first."""

log = structlog.get_logger("assignment")


class Twins:
    """Counts places that were lost sooner than a session can end.

    Args:
        instance: `KAFKA_GROUP_INSTANCE_ID`; None for a member without a name, which has no twin.
        session_s: how long a member may be silent before the brokers take its place, in seconds.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        instance: str | None = None,
        session_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance = instance
        self._session_s = session_s
        self._clock = clock
        self._since = clock()
        self._lost = 0
        self._enough = random.choice(ENOUGH)
        self._senior = False
        self.found = asyncio.Event()
        """Set for good once another live replica certainly bears the name."""

    def joined(self, *, replaced: bool) -> None:
        """The group took this replica in.

        Args:
            replaced: as another member than before, though this process lived on.
        """
        now = self._clock()
        kept_s, self._since = now - self._since, now
        if not replaced or self._instance is None:
            return
        # A session ends at its own time after the last heartbeat, and so after the join.
        soon = kept_s < self._session_s
        self._lost = self._lost + 1 if soon else 0
        self._senior = self._senior or not soon
        if self._lost:
            log.warning(
                "another replica has taken this one's place in the group",
                KAFKA_GROUP_INSTANCE_ID=self._instance,
                kept_s=round(kept_s, 1),
            )
        if self._lost >= self._enough + SENIOR * self._senior:
            self.found.set()

    def text(self) -> str:
        """Which setting is wrong, and what to do."""
        return (
            f"KAFKA_GROUP_INSTANCE_ID = {self._instance!r}: another live replica of this group "
            "bears it; give each replica one of its own, such as its pod's name, or leave it out"
        )
