"""One record at a time out of a consumer, from the partition that has waited longest."""

from __future__ import annotations

import time
from collections import deque

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumer.kafka import delivery
from consumer.kafka.decompression import BatchTooLarge
from consumer.kafka.delivery import RawRecord
from consumer.kafka.membership import position

POLL_MS = 500
SEARCH_MS = 50
_CREATE_TIME = 0


class Poller:
    """Takes turns among partitions; steps over records that cannot be read.

    Args:
        order: the assigned partitions, the one that has waited longest first; kept up to date here.
        searching: some partition holds a batch that cannot be read, and the client did not say
            which: each is asked alone until it is found.
    """

    def __init__(self, order: deque[TopicPartition], *, searching: bool = False) -> None:
        self._order = order
        self._searching = searching

    async def next(self, consumer: AIOKafkaConsumer) -> RawRecord | None:
        """One record, or None when none came in time.

        aiokafka empties the buffer of one partition before it looks at the next.

        Raises:
            ConsumerStoppedError: the consumer was stopped.
            KafkaError: the brokers cannot be asked now.
        """
        for partition in tuple(self._order):
            patience = SEARCH_MS if self._searching else 0
            try:
                found = await consumer.getmany(partition, timeout_ms=patience, max_records=1)
            except BatchTooLarge as error:
                self._turn(partition)
                self._searching = True
                return step_over(consumer, partition, error)
            for records in found.values():
                self._turn(partition)
                return records[0]
        self._searching = False
        try:
            found = await consumer.getmany(timeout_ms=POLL_MS, max_records=1)
        except BatchTooLarge:  # which does not say of which partition
            self._searching = True
            return None
        for partition, records in found.items():
            self._turn(partition)
            return records[0]
        return None

    def _turn(self, partition: TopicPartition) -> None:
        if partition in self._order:
            self._order.remove(partition)
            self._order.append(partition)


def step_over(
    consumer: AIOKafkaConsumer, partition: TopicPartition, error: BatchTooLarge
) -> RawRecord | None:
    """The record at the consumer's position as far as it is known, and a step past it."""
    offset = position(consumer, partition)
    if offset is None:
        return None
    consumer.seek(partition, offset + 1)
    return RawRecord(
        topic=partition.topic,
        partition=partition.partition,
        offset=offset,
        timestamp=round(time.time() * 1000),
        timestamp_type=_CREATE_TIME,
        key=None,
        value=None,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=((delivery.UNREAD, str(error).encode()),),
    )
