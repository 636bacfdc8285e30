"""Long jobs out of a Kafka consumer group. Everything here is about one `AIOKafkaConsumer`.

- The poll loop never stops, whatever the jobs do. At the limit all partitions are paused, and the
  loop polls on.
- Each record is a task. What has ended is entered into the partition's ledger, and committed.
- Records that a rebalance delivers again are recognised; jobs whose partition moved run to their
  end (`consumer.assignment`).
- A record with a due time (retry topic) pauses its partition until then: seek back, pause, timer.
- A drain pauses, polls on so that the membership lasts, waits for the jobs, commits, and only then
  may the consumer leave the group.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from consumer import delivery, metrics
from consumer.assignment import Assignment, by_topic
from consumer.delivery import RawRecord, to_record
from consumer.jobs import Record
from consumer.ledger import Ledger, Seen
from consumer.membership import coordination_ended, member_id, position
from consumer.places import PLACE, Place
from consumer.polling import Poller
from consumer.twins import Twins

UNWIND_S = 1.0
"""How long cancelled jobs may take to let go, and after that the last commit."""
ERROR_PAUSE_S = 1.0
MOST_ELSEWHERE = 4
"""Times the limit: records in work and those that wait for other replicas, together."""

See = Callable[[RawRecord, Record], Coroutine[Any, Any, None]]
"""Sees a record to its end; returns only when its offset may count as finished."""

log = structlog.get_logger("pump")


class Pump:
    """Polls, starts a task for each record, and keeps the books.

    Args:
        see: sees one record to its end.
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
        self._see = see
        self._limit = limit
        self._retry_topic = retry_topic
        self._blocked = blocked
        self._longest_wait_s = longest_wait_s
        self._held: dict[TopicPartition, asyncio.TimerHandle] = {}
        self._waited: dict[TopicPartition, int] = {}
        """Offsets that have waited as long as any record may, whatever their due times say."""
        self._read_to: dict[TopicPartition, int] = {}
        """Where reading was last seen to be."""
        self._jobs: dict[asyncio.Task[None], Record] = {}
        self._places: dict[asyncio.Task[None], Place] = {}
        self._reason: str | None = None
        self._draining = False
        self._hurry = asyncio.Event()
        self._polled_at = time.monotonic()
        self.failing: str | None = None
        """Why the last poll brought nothing: a topic that may not be read, and the like."""
        self.assignment = Assignment(self._apply, twins)
        self._poller = Poller(self.assignment.order)

    # Polling

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        """Poll until the consumer stops, or can no longer be used.

        Raises:
            KafkaError: its coordination has ended for good; a new consumer is needed.
        """
        while True:
            self._turn()
            self._pass(consumer)
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
        wait_s = self._wait_s(record)
        if wait_s > 0 and self._waited.pop(partition, None) != raw.offset:
            book.release(raw.offset)
            self._hold(consumer, partition, raw.offset, wait_s)
            return
        place = Place(self._apply)
        work = self._work(raw, record, place)
        task = asyncio.create_task(work, name=f"job {record!r}")
        self._jobs[task], self._places[task] = record, place
        task.add_done_callback(partial(self._ended, book))
        self._apply()

    def _seek(self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
        consumer.seek(partition, offset)
        self._read_to[partition] = offset

    async def _work(self, raw: RawRecord, record: Record, place: Place) -> None:
        PLACE.set(place)
        await self._see(raw, record)

    def _ended(self, book: Ledger, task: asyncio.Task[None]) -> None:
        record = self._jobs.pop(task)
        del self._places[task]
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            book.release(record.offset)
        else:
            book.finish(record.offset)
        if error is not None:
            log.error("a job ended without a verdict", record=repr(record), exc_info=error)
        self.assignment.commits.soon()
        self._apply()

    # Pauses

    def _full(self) -> bool:
        if self._draining or self._reason is not None:
            return True
        here = len(self._jobs) - len(self._elsewhere())
        return here >= self._limit() or len(self._jobs) >= MOST_ELSEWHERE * self._limit()

    def _elsewhere(self) -> list[asyncio.Task[None]]:
        return [task for task, place in self._places.items() if place.elsewhere]

    def _apply(self) -> None:
        """Make the consumer's pauses what they should be; no await, so nothing slips through."""
        opened = self.assignment.open
        for partition in [p for p in self._held if p not in opened]:
            self._held.pop(partition).cancel()
        for partition in [p for p in self._read_to if p not in opened]:
            del self._read_to[partition]  # a rebalance reads on from what is committed
        consumer = self.assignment.consumer
        if consumer is None:
            return
        assigned = consumer.assignment() & self.assignment.partitions
        paused = consumer.paused() & assigned
        full = self._full()
        wanted = {p for p in assigned if full or p not in opened or p in self._held}
        if wanted - paused:
            consumer.pause(*(wanted - paused))
        if paused - wanted:
            consumer.resume(*(paused - wanted))

    def _wait_s(self, record: Record) -> float:
        if record.topic != self._retry_topic:
            return 0.0
        due_ms = delivery.number(record, delivery.DUE)
        return 0.0 if due_ms is None else due_ms / 1000 - time.time()

    def _hold(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int, wait_s: float
    ) -> None:
        self._seek(consumer, partition, offset)
        loop, longest_s = asyncio.get_running_loop(), self._longest_wait_s
        if wait_s > longest_s:
            log.warning("due time is too far away", partition=partition.partition, offset=offset)
            self._held[partition] = loop.call_later(longest_s, self._enough, partition, offset)
        else:
            self._held[partition] = loop.call_later(wait_s, self._due, partition)
        self._apply()

    def _enough(self, partition: TopicPartition, offset: int) -> None:
        self._waited[partition] = offset
        self._due(partition)

    def _due(self, partition: TopicPartition) -> None:
        self._held.pop(partition, None)
        self._apply()

    # The end

    async def drain(self, grace_s: float) -> int:
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
        for task in self._elsewhere():  # another replica has them, and this one begins no more
            task.cancel()
        log.info("draining", running=len(self._jobs), grace_s=grace_s)
        if self._jobs and grace_s > 0:
            hurry = asyncio.create_task(self._hurry.wait())
            done = asyncio.gather(*self._jobs, return_exceptions=True)
            await asyncio.wait((done, hurry), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
        given_up = tuple(self._jobs)
        for task in given_up:
            task.cancel()
        if given_up:
            await asyncio.wait(given_up, timeout=UNWIND_S)
        if not await self.assignment.commits.flush(UNWIND_S):
            log.warning("left before all was committed")
        return len(given_up)

    def hurry(self) -> None:
        """End the grace of a drain now."""
        self._hurry.set()

    async def stop(self) -> None:
        """Stop committing; the consumer is closed by its owner."""
        await self.assignment.stop()
        for timer in self._held.values():
            timer.cancel()

    # Facts

    @property
    def running(self) -> int:
        """Records in work."""
        return len(self._jobs)

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
            "paused_until_due": by_topic(self._held),
            "running": len(self._jobs),
            "elsewhere": len(self._elsewhere()),
            "limit": self._limit(),
            "intake": "draining" if self._draining else self._reason or "open",
            "poll_error": self.failing,
            "last_poll_s": round(self.polled_s, 3),
            "oldest_uncommitted_s": round(self._oldest_s(), 3),
        }

    def _oldest_s(self) -> float:
        sent = [record.timestamp_ms for record in self._jobs.values()]
        return max(0.0, time.time() - min(sent) / 1000) if sent else 0.0

    def _measure(self) -> None:
        metrics.LAST_POLL.set(time.time())
        metrics.INTAKE_PAUSED.set(self._reason is not None)
        metrics.IN_PROGRESS.set(len(self._jobs))
        metrics.PARTITIONS.set(len(self.assignment.partitions))
        metrics.GROUP_MEMBER.set(self.member)
        metrics.OLDEST_UNCOMMITTED.set(self._oldest_s())
