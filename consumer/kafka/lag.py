"""How far this replica's partitions are behind, and whether the brokers answer that at all.

An idle replica asks its brokers for nothing else whose answer would be missed: its client waits for
them in silence. Kept out of the poll loop, which must never wait for an answer of the brokers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import structlog
from aiokafka.errors import KafkaError

from consumer.kafka import request_timeout
from consumer.kafka.assignment import Assignment
from consumer.kafka.connection_errors import CONNECTION_ERRORS, refuses_login, told
from consumer.kafka.membership import ask_of_topics, learn_leaders
from consumer.metrics import BROKERS_UP, LAG

EVERY_S, AGAIN_S = 15.0, 3.0
"""Between two measurements; the latter while the brokers do not answer."""
log = structlog.get_logger(__name__)


class LagWatch:
    """Measures again and again; a gap while brokers do not answer."""

    def __init__(self, assignment: Assignment, every_s: float = EVERY_S) -> None:
        self._assignment = assignment
        self._every_s = every_s
        self.trouble: str | None = None
        """Why the brokers cannot be used now; None while they answer."""
        self._locked_out: float | None = None
        """Monotonic second since which they refuse the password; None while they do not."""

    @property
    def locked_out_s(self) -> float:
        """How long the brokers have refused this replica's name and password, seconds."""
        return 0.0 if self._locked_out is None else time.monotonic() - self._locked_out

    async def run(self) -> None:
        """For ever."""
        CONNECTION_ERRORS.listen()
        while True:
            try:
                async with asyncio.timeout(request_timeout.ANSWER_S):
                    LAG.set(await measure(self._assignment))
            except (KafkaError, TimeoutError) as error:
                self._missed(error)
                await self._learn_leaders()
            else:
                self._answered()
            pause_s = self._every_s if self.trouble is None else min(AGAIN_S, self._every_s)
            await asyncio.sleep(pause_s)

    async def _learn_leaders(self) -> None:
        """Others may lead by now what a broker led that hangs: then they are read, and asked."""
        consumer = self._assignment.consumer
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(request_timeout.ANSWER_S):
                if consumer is not None:
                    await learn_leaders(consumer)

    def _missed(self, error: Exception) -> None:
        cause = CONNECTION_ERRORS.lately()
        if not refuses_login(cause):
            self._locked_out = None
        elif self._locked_out is None:
            self._locked_out = time.monotonic()
        why = repr(error) if isinstance(error, KafkaError) else "time-out"
        if cause is not None:
            why = f"{why}, as no connection could be made: {told(cause)}"
        if self.trouble is None:
            log.warning("the brokers do not answer", error=why)
        self.trouble = why
        BROKERS_UP.set(0)

    def _answered(self) -> None:
        if self.trouble is not None:
            log.info("the brokers answer again")
        self.trouble = self._locked_out = None
        BROKERS_UP.set(1)


async def measure(assignment: Assignment) -> int:
    """Records behind what is committed, over all partitions of this replica.

    Those behind a transaction that is still open count, too: nobody can read them yet.

    Raises:
        KafkaError: the brokers do not answer.
    """
    books = dict(assignment.open)
    consumer = assignment.consumer
    if consumer is None:
        return 0
    if not books:
        await ask_of_topics(consumer)  # as good a question as any other
        return 0
    ends: dict[object, int] = await consumer.end_offsets(list(books))
    starts: dict[object, int] = await consumer.beginning_offsets(list(books))
    lag = 0
    for partition, book in books.items():
        assigned = partition in consumer.assignment()
        written = consumer.highwater(partition) if assigned else None
        end = max(ends[partition], written or 0)
        lag += max(0, end - max(book.position or 0, starts[partition]))
    return lag
