"""Waits out an outage: the store is away, the job is not lost, and nothing is done twice for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from consumer.faults import Fault
from schemas.codes import ErrorCode

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
OUTAGE = frozenset({ErrorCode.STORE_UNAVAILABLE})
OWN_BUCKET = OUTAGE | {ErrorCode.STORE_DENIED}
"""On the service's own bucket a refusal is the operator's to mend, and never the job's fault."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


async def patient(
    call: Callable[[], Awaitable[T]], what: str, codes: frozenset[ErrorCode] = OWN_BUCKET
) -> T:
    """Make a call until it works, with growing pauses; faults of other codes go through.

    Args:
        call: makes a new awaitable for each try.
        what: the step, in logs.
        codes: faults that are waited out.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await call()
        except Fault as fault:
            if fault.code not in codes:
                raise
            log.warning("waiting for the store", step=what, error=str(fault), pause_s=pause)
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(LONGEST_PAUSE_S, pause * 2)
