"""Waits out an outage: the store is away, the job is not lost, and nothing is done twice for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from consumer.faults import Fault
from consumer.waiting import growing
from schemas.codes import ErrorCode

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
OUTAGE = frozenset({ErrorCode.STORE_UNAVAILABLE})
OWN_BUCKET = OUTAGE | {ErrorCode.STORE_DENIED, ErrorCode.STORE_FULL}
"""On the service's own bucket a refusal is the operator's to mend, and never the job's fault."""
OVERDUE_S = 10.0
"""Whoever has waited for so long is counted, and said in `/health`."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


def waited_out(bucket: str, own: str) -> frozenset[ErrorCode]:
    """The faults that are waited out on a bucket.

    Another's bucket may refuse us, and only its job is told: to wait would hold up all others.

    Args:
        own: the service's bucket.
    """
    return OWN_BUCKET if bucket == own else OUTAGE


@dataclass(frozen=True, slots=True)
class _Wait:
    since: float
    why: str


class Waits:
    """Who waits for the store now, since which monotonic second, and why."""

    def __init__(self) -> None:
        self._found: dict[object, _Wait] = {}

    def enter(self, who: object, why: str) -> None:
        """Somebody waits, or waits on for another reason."""
        before = self._found.get(who)
        self._found[who] = _Wait(before.since if before else time.monotonic(), why)

    def leave(self, who: object) -> None:
        """Somebody waits no more, if they ever did."""
        self._found.pop(who, None)

    def overdue(self) -> list[str]:
        """Why those wait that have done so for `OVERDUE_S` or longer, the first one first."""
        latest = time.monotonic() - OVERDUE_S
        return [wait.why for wait in self._found.values() if wait.since <= latest]


WAITS: Final = Waits()
"""One, as there is one store."""


async def patient(
    call: Callable[[], Awaitable[T]], what: str, codes: frozenset[ErrorCode] = OWN_BUCKET
) -> T:
    """Make a call until it works, with growing pauses; faults of other codes go through.

    Args:
        call: makes a new awaitable for each try.
    """
    pauses, who = growing(FIRST_PAUSE_S, LONGEST_PAUSE_S), object()
    try:
        while True:
            try:
                return await call()
            except Fault as fault:
                if fault.code not in codes:
                    raise
                pause = next(pauses)
                log.warning("waiting for the store", step=what, error=str(fault), pause_s=pause)
                WAITS.enter(who, f"{what}: {fault.what}")
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
    finally:
        WAITS.leave(who)
