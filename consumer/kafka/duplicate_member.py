"""Tells a replica that another live one bears its `KAFKA_GROUP_INSTANCE_ID`.

The brokers give a static member's place to whoever joins with its name last (KIP-345). aiokafka
does not name itself in its heartbeats, so it is told only that its id is unknown. It would join
again and take the place back, as would the other at its next heartbeat, without end, and both would
work on the same jobs. So a replica that lost its place asks who has it before it joins again
(`consumer.kafka.assignment`), and of two that bear one name exactly one ends:

- Who has kept the place for less than a session ends: the newcomer, whose place was taken back.
- Who has kept it for a session or longer takes it back, once: to keep it again takes a session.
- Who is draining lets it go: its successor may be there already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger("assignment")


class Twins:
    """Decides who of two replicas with one name ends.

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
        self.instance = instance
        self._session_s = session_s
        self._clock = clock
        self._since = clock()
        self._leaving = False
        self.found = asyncio.Event()
        """Set for good once this replica has to end, as another live one bears its name."""

    def joined(self) -> None:
        """The group took this replica in."""
        self._since = self._clock()

    def leaving(self) -> None:
        """This replica ends by itself, and takes no place back."""
        self._leaving = True

    def fenced(self) -> bool:
        """Another replica certainly has the place now. True when this one has to end, then."""
        kept_s = self._clock() - self._since
        ends = self._leaving or kept_s < self._session_s
        log.warning(
            "another replica has taken this one's place in the group",
            KAFKA_GROUP_INSTANCE_ID=self.instance,
            kept_s=round(kept_s, 1),
            then="this one ends" if ends else "it is taken back",
        )
        if ends:
            self.found.set()
        return ends

    def text(self) -> str:
        """Which setting is wrong, and what to do."""
        return (
            f"KAFKA_GROUP_INSTANCE_ID = {self.instance!r}: another live replica of this group "
            "bears it; give each replica one of its own, such as its pod's name, or leave it out"
        )
