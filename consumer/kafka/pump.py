"""Long jobs out of a Kafka consumer group. Everything here is about one `AIOKafkaConsumer`.

- The poll loop never stops, whatever the jobs do. At the limit all partitions are paused, and the
  loop polls on.
- Each record is a task (`consumer.kafka.in_work`). What has ended is entered into the partition's
  ledger, and committed.
- Records that a rebalance delivers again are recognised; jobs whose partition moved run to their
  end (`consumer.kafka.assignment`).
- A record with a due time (`consumer.kafka.due`) pauses its partition until then: seek back, timer.
- A drain pauses, polls on so that the membership lasts, waits for the jobs, commits, and only then
  may the consumer leave the group.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from consumer import metrics
from consumer.kafka.assignment import Assignment, by_topic
from consumer.kafka.delivery import RawRecord, to_record
from consumer.kafka.due import DueTimes
from consumer.kafka.duplicate_member import Twins
from consumer.kafka.in_work import InWork, See
from consumer.kafka.ledger import Ledger, Seen
from consumer.kafka.membership import check_reading, coordination_ended, member_id, position
from consumer.kafka.polling import Poller

UNWIND_S = 1.0
"""How long cancelled jobs may take to let go, and after that the last commit."""
ERROR_PAUSE_S = 1.0
MOST_ELSEWHERE = 4
"""Times the limit: records in work and those that wait for other replicas, together."""

log = structlog.get_logger("pump")


class Pump:
    """Polls, starts a task for each record, and keeps the books.

    Args:
        limit: says how many records may be in work at a time now; those that wait for another
            replica (`consumer.places`) are not counted.
        retry_topic: the topic whose records carry due times.
        blocked: why intake must pause now, or None; asked at every turn of the poll loop.
        longest_wait_s: how long a due time may hold up its partition. This service writes none that
            is further away, but another's clock, or another's hand, may.
        twins: decides what is done when another live replica bears this one's name in the group.
    """

    def __init__(
        self,
        see: See,
        limit: Callable[[], int],
        retry_topic: str,
        blocked: Callable[[], str | None] = lambda: None,
        longest_wait_s: float = math.inf,
        twins: Twins | None = None,
    ) -> None:
        self._limit = limit
        self._blocked = blocked
        self._work = InWork(see, self._apply, self._one_ended)
        self._due = DueTimes(retry_topic, longest_wait_s, self._apply)
        self._read_to: dict[TopicPartition, int] = {}
        """Where reading was last seen to be."""
        self._reason: str | None = None
        self._draining = False
        self._polled_at = time.monotonic()
        self.failing: str | None = None
        """Why the last poll brought nothing: a topic that may not be read, and the like."""
        self.assignment = Assignment(self._apply, twins)
        self._poller = Poller(self.assignment.order)

    # Polling

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        """Poll until the consumer stops, or can no longer be used.

        Raises:
            KafkaError: its coordination or fetching has ended for good; a new consumer is needed.
        """
        while True:
            self._turn()
            self._pass(consumer)
            check_reading(consumer)
            try:
                raw = await self._poller.next(consumer)
            except ConsumerStoppedError:
                return
            except KafkaError as error:
                if coordination_ended(consumer) or await self.assignment.fenced():
                    raise  # aiokafka would ask for the lost place with the old id for ever
                self.failing = repr(error)
                log.warning("cannot poll now", error=self.failing)
                await asyncio.sleep(ERROR_PAUSE_S)
                continue
            self.failing = None
            if raw is not None:
                self._deliver(consumer, raw)
            raw = None  # it may be large, and the next may be long in coming

    def _turn(self) -> None:
        self._polled_at = time.monotonic()
        reason = self._blocked()
        if reason != self._reason:
            self._reason = reason
            log.warning("intake pauses", reason=reason) if reason else log.info("intake goes on")
        self._apply()
        self._measure()

    def _pass(self, consumer: AIOKafkaConsumer) -> None:
        """Tell the ledgers how far reading has gone; every record below was delivered by now."""
        for partition in tuple(self.assignment.open):
            at = position(consumer, partition)
            if at is not None and self._book(partition, at).passed(at):
                self.assignment.commits.soon()

    def _book(self, partition: TopicPartition, at: int) -> Ledger:
        """The book of an open partition that is read at an offset.

        A new one, when reading was taken back by nobody here: the client does that where the offset
        it asks for is not in the log any more.
        """
        book = self.assignment.open[partition]
        before = self._read_to.get(partition, at)
        if at < before:
            book = self.assignment.renew(partition)
        elif at > before + 1:
            self.assignment.skipped(partition, before)
        self._read_to[partition] = at
        return book

    def _deliver(self, consumer: AIOKafkaConsumer, raw: RawRecord) -> None:
        partition = TopicPartition(raw.topic, raw.partition)
        book = self._book(partition, raw.offset) if partition in self.assignment.open else None
        if book is None or self._full():
            self._seek(consumer, partition, raw.offset)  # paused meanwhile; it comes again
            self._apply()
            return
        if book.admit(raw.offset) is not Seen.NEW:
            log.debug("known record", topic=raw.topic, partition=raw.partition, offset=raw.offset)
            self.assignment.commits.soon()
            return
        record = to_record(raw)
        wait_s = self._due.wait_s(record)
        if wait_s > 0:
            book.release(raw.offset)
            self._seek(consumer, partition, raw.offset)
            self._due.hold(partition, raw.offset, wait_s)
        else:
            self._work.begin(raw, record, book)
        self._apply()

    def _seek(self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
        consumer.seek(partition, offset)
        self._read_to[partition] = offset

    def _one_ended(self) -> None:
        self.assignment.commits.soon()
        self._apply()

    # Pauses

    def _full(self) -> bool:
        if self._draining or self._reason is not None:
            return True
        every, limit = len(self._work), self._limit()
        return every - self._work.elsewhere >= limit or every >= MOST_ELSEWHERE * limit

    def _apply(self) -> None:
        """Make the consumer's pauses what they should be; no await, so nothing slips through."""
        opened = self.assignment.open
        self._due.keep(opened)
        for partition in [p for p in self._read_to if p not in opened]:
            del self._read_to[partition]  # a rebalance reads on from what is committed
        consumer = self.assignment.consumer
        if consumer is None:
            return
        assigned = consumer.assignment() & self.assignment.partitions
        paused = consumer.paused() & assigned
        full = self._full()
        wanted = {p for p in assigned if full or p not in opened or p in self._due.waiting}
        if wanted - paused:
            consumer.pause(*(wanted - paused))
        if paused - wanted:
            consumer.resume(*(paused - wanted))

    # The end

    async def drain(self, grace_s: float, hurry: asyncio.Event | None = None) -> int:
        """Take nothing new, wait for the jobs, commit while still a member.

        Args:
            grace_s: seconds that running jobs may still take; then they are cancelled.

        Returns:
            How many jobs were given up; their records come again.
        """
        self._draining = True
        self.assignment.twins.leaving()
        metrics.DRAINING.set(1)
        self._apply()
        self._work.leave_elsewhere()
        log.info("draining", running=self.running, grace_s=grace_s)
        await self._work.finish(grace_s, hurry or asyncio.Event())
        given_up = await self._work.give_up(UNWIND_S)
        if not await self.assignment.commits.flush(UNWIND_S):
            log.warning("left before all was committed")
        return given_up

    async def stop(self) -> None:
        """Stop committing; the consumer is closed by its owner."""
        await self.assignment.stop()
        self._due.stop()

    # Facts

    @property
    def running(self) -> int:
        """Records in work."""
        return len(self._work)

    @property
    def polled_s(self) -> float:
        """Seconds since the poll loop last turned."""
        return time.monotonic() - self._polled_at

    @property
    def member(self) -> bool:
        """True while this replica is in its group and knows its partitions' commits."""
        consumer = self.assignment.consumer
        joined = self.assignment.joined.is_set()
        return joined and consumer is not None and member_id(consumer) != ""

    def facts(self) -> dict[str, Any]:
        """For `/health`."""
        return {
            "member": self.member,
            "member_id": self.assignment.member_id,
            "partitions": by_topic(self.assignment.partitions),
            "paused_until_due": by_topic(self._due.waiting),
            "running": self.running,
            "elsewhere": self._work.elsewhere,
            "limit": self._limit(),
            "intake": "draining" if self._draining else self._reason or "open",
            "poll_error": self.failing,
            "last_poll_s": round(self.polled_s, 3),
            "oldest_uncommitted_s": round(self._work.oldest_s, 3),
        }

    def _measure(self) -> None:
        metrics.LAST_POLL.set(time.time())
        metrics.INTAKE_PAUSED.set(self._reason is not None)
        metrics.IN_PROGRESS.set(self.running)
        metrics.PARTITIONS.set(len(self.assignment.partitions))
        metrics.GROUP_MEMBER.set(self.member)
        metrics.OLDEST_UNCOMMITTED.set(self._work.oldest_s)
