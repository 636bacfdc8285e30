"""Records that are not due yet: the partition of each waits for it, by a timer.

Of the retry topic alone, whose records carry due times (`consumer.kafka.delivery`). A partition
that waits is read back to its record and paused by `consumer.kafka.pump`; nothing sleeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container

import structlog
from aiokafka import TopicPartition

from consumer.jobs import Record
from consumer.kafka import delivery

log = structlog.get_logger("pump")


class DueTimes:
    """Which partitions wait, and until when.

    Args:
        topic: whose records carry due times.
        longest_s: how long a due time may hold up its partition. This service writes none that is
            further away, but another's clock, or another's hand, may.
        changed: called when a partition need not wait any longer.
    """

    def __init__(self, topic: str, longest_s: float, changed: Callable[[], None]) -> None:
        self._topic = topic
        self._longest_s = longest_s
        self._changed = changed
        self.waiting: dict[TopicPartition, asyncio.TimerHandle] = {}
        self._waited: dict[TopicPartition, int] = {}
        """Offsets that have waited as long as any record may, whatever their due times say."""

    def wait_s(self, record: Record) -> float:
        """Seconds that a record must still wait; 0 when it is due, or has waited long enough."""
        if record.topic != self._topic:
            return 0.0
        due_ms = delivery.number(record, delivery.DUE)
        left_s = 0.0 if due_ms is None else due_ms / 1000 - time.time()
        if left_s <= 0:
            return 0.0
        partition = TopicPartition(record.topic, record.partition)
        return 0.0 if self._waited.pop(partition, None) == record.offset else left_s

    def hold(self, partition: TopicPartition, offset: int, wait_s: float) -> None:
        """Let a partition wait for the record at this offset."""
        loop, longest_s = asyncio.get_running_loop(), self._longest_s
        if wait_s > longest_s:
            log.warning("due time is too far away", partition=partition.partition, offset=offset)
            self.waiting[partition] = loop.call_later(longest_s, self._enough, partition, offset)
        else:
            self.waiting[partition] = loop.call_later(wait_s, self._due, partition)

    def keep(self, partitions: Container[TopicPartition]) -> None:
        """Forget the waits of all other partitions."""
        for partition in [p for p in self.waiting if p not in partitions]:
            self.waiting.pop(partition).cancel()

    def stop(self) -> None:
        """End the timers."""
        for timer in self.waiting.values():
            timer.cancel()

    def _enough(self, partition: TopicPartition, offset: int) -> None:
        self._waited[partition] = offset
        self._due(partition)

    def _due(self, partition: TopicPartition) -> None:
        self.waiting.pop(partition, None)
        self._changed()
