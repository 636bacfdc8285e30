"""How far this replica's partitions are behind: what alerts on a fleet that does not keep up need.

Kept out of the poll loop, which must never wait for an answer of the brokers.
"""

from __future__ import annotations

import asyncio

import structlog
from aiokafka.errors import KafkaError

from consumer.kafka.assignment import Assignment
from consumer.metrics import LAG

EVERY_S = 15.0
TIMEOUT_S = 10.0
log = structlog.get_logger(__name__)


async def watch_lag(assignment: Assignment, every_s: float = EVERY_S) -> None:
    """Measure again and again, for ever; a gap while brokers do not answer."""
    while True:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                LAG.set(await measure(assignment))
        except (KafkaError, TimeoutError) as error:
            log.debug("lag not measured", error=repr(error))
        await asyncio.sleep(every_s)


async def measure(assignment: Assignment) -> int:
    """Records behind what is committed, over all partitions of this replica.

    Raises:
        KafkaError: the brokers do not answer.
    """
    books = dict(assignment.open)
    consumer = assignment.consumer
    if consumer is None or not books:
        return 0
    ends: dict[object, int] = await consumer.end_offsets(list(books))
    starts: dict[object, int] = await consumer.beginning_offsets(list(books))
    return sum(
        max(0, ends[partition] - max(book.position or 0, starts[partition]))
        for partition, book in books.items()
    )
