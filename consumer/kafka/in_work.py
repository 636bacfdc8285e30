"""Records in work: a task for each, whose end is entered into its partition's ledger.

Those that another replica works on (`consumer.places`) are here too, and take no place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from consumer.jobs import Record
from consumer.kafka.delivery import RawRecord
from consumer.kafka.ledger import Ledger
from consumer.places import PLACE, Place

See = Callable[[RawRecord, Record], Coroutine[Any, Any, None]]
"""Sees a record to its end; returns only when its offset may count as finished."""

log = structlog.get_logger("pump")


class InWork:
    """The tasks of one pump.

    Args:
        moved: called when a record leaves its place to another replica's, or takes it back.
        ended: called when a record has ended, after its ledger knows.
    """

    def __init__(self, see: See, moved: Callable[[], None], ended: Callable[[], None]) -> None:
        self._see = see
        self._moved = moved
        self._ended = ended
        self._records: dict[asyncio.Task[None], Record] = {}
        self._places: dict[asyncio.Task[None], Place] = {}
        self._begun: dict[asyncio.Task[None], float] = {}

    def __len__(self) -> int:
        return len(self._records)

    @property
    def elsewhere(self) -> int:
        """Records that wait for another replica."""
        return len(self._waiting())

    @property
    def oldest_s(self) -> float:
        """Seconds since work on the oldest of the records began; 0 without any.

        Not since it was sent: behind a queue of hours every record would be taken for a stuck one.
        """
        begun = min(self._begun.values(), default=None)
        return 0.0 if begun is None else time.monotonic() - begun

    def begin(self, raw: RawRecord, record: Record, book: Ledger) -> None:
        """See a record to its end in a task of its own."""
        place = Place(self._moved)
        task = asyncio.create_task(self._work(raw, record, place), name=f"job {record!r}")
        self._records[task], self._places[task] = record, place
        self._begun[task] = time.monotonic()
        task.add_done_callback(partial(self._enter, book))

    async def _work(self, raw: RawRecord, record: Record, place: Place) -> None:
        PLACE.set(place)
        await self._see(raw, record)

    def _enter(self, book: Ledger, task: asyncio.Task[None]) -> None:
        record = self._records.pop(task)
        del self._places[task], self._begun[task]
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            book.release(record.offset)
        else:
            book.finish(record.offset)
        if error is not None:
            log.error("a job ended without a verdict", record=repr(record), exc_info=error)
        self._ended()

    def _waiting(self) -> list[asyncio.Task[None]]:
        return [task for task, place in self._places.items() if place.elsewhere]

    # The end

    def leave_elsewhere(self) -> None:
        """Give up what another replica works on: this one will begin no more."""
        for task in self._waiting():
            task.cancel()

    async def finish(self, grace_s: float, hurry: asyncio.Event) -> None:
        """Wait until all have ended, for `grace_s` seconds, or until told to hurry."""
        if not self._records or grace_s <= 0:
            return
        hurried = asyncio.create_task(hurry.wait())
        done = asyncio.gather(*self._records, return_exceptions=True)
        await asyncio.wait((done, hurried), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()

    async def give_up(self, unwind_s: float) -> int:
        """Cancel those that are left, and wait so long for them to let go; how many there were."""
        given_up = tuple(self._records)
        for task in given_up:
            task.cancel()
        if given_up:
            await asyncio.wait(given_up, timeout=unwind_s)
        return len(given_up)
