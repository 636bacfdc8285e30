"""Long jobs out of a Kafka consumer group. Everything here is about one `AIOKafkaConsumer`.

- The poll loop never stops, whatever the jobs do. At the limit all partitions are paused, and the
  loop polls on.
- Each record is a task. What has ended is entered into the partition's ledger, and committed.
- A rebalance never waits for a job. It forgets pauses and rewinds positions (aiokafka 0.14), so
  partitions are paused again at once, ledgers restored from what the group has committed, and
  records that are delivered again recognised. Jobs whose partition moved run on to their end.
- A record with a due time (retry topic) pauses its partition until then: seek back, pause, timer.
- A drain pauses, polls on so that the membership lasts, waits for the jobs, commits, and only then
  may the consumer leave the group.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from consumer import delivery, metrics
from consumer.commits import Committer
from consumer.delivery import RawRecord, to_record
from consumer.jobs import Record
from consumer.ledger import Commit, Ledger, Seen
from consumer.membership import coordination_ended, member_id, read_commits

POLL_MS = 500
REVOKE_TIMEOUT_S = 3.0
UNWIND_S = 1.2
"""How long cancelled jobs may take to let go."""
ERROR_PAUSE_S = 1.0

log = structlog.get_logger("pump")

See = Callable[[RawRecord, Record], Coroutine[Any, Any, None]]
"""Sees a record to its end; returns only when its offset may count as finished."""


class Pump(ConsumerRebalanceListener):  # type: ignore[misc]
    """Polls, starts a task for each record, and keeps the books.

    Args:
        see: sees one record to its end.
        limit: records that may be in work at a time.
        retry_topic: the topic whose records carry due times.
        blocked: why intake must pause now, or None; asked at every turn of the poll loop.
    """

    def __init__(
        self,
        see: See,
        limit: int,
        retry_topic: str,
        blocked: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._see = see
        self._limit = limit
        self._retry_topic = retry_topic
        self._blocked = blocked
        self._consumer: AIOKafkaConsumer | None = None
        self._books: dict[TopicPartition, Ledger] = {}
        self._restored: dict[TopicPartition, Ledger] = {}
        """Books of the partitions that are assigned and whose commits are known."""
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._held: dict[TopicPartition, asyncio.TimerHandle] = {}
        self._jobs: dict[asyncio.Task[None], Record] = {}
        self._restoring: asyncio.Task[None] | None = None
        self._member = ""
        self._joined = asyncio.Event()
        self._order: deque[TopicPartition] = deque()
        self._reason: str | None = None
        self._draining = False
        self._hurry = asyncio.Event()
        self._polled_at = time.monotonic()
        self._commits = Committer(self._restored)

    # Polling

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        """Poll until the consumer stops, or can no longer be used.

        Raises:
            KafkaError: its coordination has ended for good; a new consumer is needed.
        """
        while True:
            self._turn()
            try:
                raw = await self._next(consumer)
            except ConsumerStoppedError:
                return
            except KafkaError as error:
                if coordination_ended(consumer):
                    raise
                log.warning("cannot poll now", error=repr(error))
                await asyncio.sleep(ERROR_PAUSE_S)
                continue
            if raw is not None:
                self._deliver(consumer, raw)

    async def _next(self, consumer: AIOKafkaConsumer) -> RawRecord | None:
        """One record, from the partition that has waited longest; None when none came in time.

        aiokafka empties the buffer of one partition before it looks at the next.
        """
        for partition in tuple(self._order):
            found = await consumer.getmany(partition, timeout_ms=0, max_records=1)
            if found:
                break
        else:
            found = await consumer.getmany(timeout_ms=POLL_MS, max_records=1)
        for partition, records in found.items():
            if partition in self._order:
                self._order.remove(partition)
                self._order.append(partition)
            return records[0]
        return None

    def _turn(self) -> None:
        self._polled_at = time.monotonic()
        reason = self._blocked()
        if reason != self._reason:
            self._reason = reason
            log.warning("intake pauses", reason=reason) if reason else log.info("intake goes on")
        self._apply()
        self._measure()

    def _deliver(self, consumer: AIOKafkaConsumer, raw: RawRecord) -> None:
        partition = TopicPartition(raw.topic, raw.partition)
        book = self._restored.get(partition)
        if book is None or self._full():
            consumer.seek(partition, raw.offset)  # paused meanwhile; it comes again
            self._apply()
            return
        if book.admit(raw.offset) is not Seen.NEW:
            log.debug("known record", topic=raw.topic, partition=raw.partition, offset=raw.offset)
            self._commits.soon()
            return
        record = to_record(raw)
        wait_s = self._wait_s(record)
        if wait_s > 0:
            book.release(raw.offset)
            self._hold(consumer, partition, raw.offset, wait_s)
            return
        task = asyncio.create_task(self._see(raw, record), name=f"job {record!r}")
        self._jobs[task] = record
        task.add_done_callback(self._ended)
        self._apply()

    def _ended(self, task: asyncio.Task[None]) -> None:
        record = self._jobs.pop(task)
        book = self._books.get(TopicPartition(record.topic, record.partition))
        if book is not None:
            if not task.cancelled() and task.exception() is None:
                book.finish(record.offset)
            else:
                book.release(record.offset)
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "a job ended without a verdict", record=repr(record), exc_info=task.exception()
            )
        self._commits.soon()
        self._apply()

    # Pauses

    def _full(self) -> bool:
        return self._draining or self._reason is not None or len(self._jobs) >= self._limit

    def _apply(self) -> None:
        """Make the consumer's pauses what they should be; no await, so nothing slips through."""
        consumer = self._consumer
        if consumer is None:
            return
        full = self._full()
        assigned = consumer.assignment() & self._assigned
        paused = consumer.paused() & assigned
        wanted = {p for p in assigned if full or p not in self._restored or p in self._held}
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
        consumer.seek(partition, offset)
        loop = asyncio.get_running_loop()
        self._held[partition] = loop.call_later(wait_s, self._due, partition)
        self._apply()

    def _due(self, partition: TopicPartition) -> None:
        self._held.pop(partition, None)
        self._apply()

    # Rebalances

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit for at most 3 s, then let the partitions go; jobs run on."""
        await self._stop_restoring()
        if self._restored and not await self._commits.once(REVOKE_TIMEOUT_S):
            log.info("revoked before all was committed", partitions=_names(revoked))
        self._let_go()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pause at once; read what the group has committed; then go on."""
        self._let_go()
        self._assigned = frozenset(assigned)
        self._apply()
        await self._stop_restoring()
        assert self._consumer is not None, "adopted before it was started"
        self._restoring = asyncio.create_task(self._restore(self._consumer), name="restore")

    def adopt(self, consumer: AIOKafkaConsumer) -> None:
        """Take a consumer before it is started, so that its first assignment finds us."""
        self._let_go()
        self._consumer = consumer
        self._commits.start(consumer)

    async def _restore(self, consumer: AIOKafkaConsumer) -> None:
        partitions = self._assigned
        committed = await self._read_commits(consumer)
        member = member_id(consumer)
        rejoined = self._member not in ("", member)
        self._member = member
        for partition in partitions:
            book = self._books.setdefault(partition, Ledger())
            if rejoined:
                book.rejoined()
            found = committed.get(partition)
            book.restore(found.offset if found else None, found.metadata if found else "")
            self._restored[partition] = book
            self._commits.restored(partition, found)
        self._order = deque(partitions)
        self._joined.set()
        log.info("partitions assigned", partitions=_names(partitions), running=len(self._jobs))
        self._apply()

    async def _read_commits(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, Commit]:
        while True:
            try:
                return await read_commits(consumer, self._assigned)
            except KafkaError as error:
                log.warning("cannot read the group's offsets yet", error=repr(error))
            await asyncio.sleep(ERROR_PAUSE_S)

    async def _stop_restoring(self) -> None:
        task, self._restoring = self._restoring, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,))

    def _let_go(self) -> None:
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()
        self._commits.abort()
        self._restored.clear()
        self._assigned = frozenset()
        self._order.clear()
        self._joined.clear()

    # The end

    async def drain(self, grace_s: float) -> int:
        """Take nothing new, wait for the jobs, commit while still a member.

        Args:
            grace_s: seconds that running jobs may still take; then they are cancelled.

        Returns:
            How many jobs were given up; their records come again.
        """
        self._draining = True
        metrics.DRAINING.set(1)
        self._apply()
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
        if not await self._commits.flush(UNWIND_S):
            log.warning("left before all was committed")
        return len(given_up)

    def hurry(self) -> None:
        """End the grace of a drain now."""
        self._hurry.set()

    async def stop(self) -> None:
        """Stop committing; the consumer is closed by its owner."""
        await self._stop_restoring()
        await self._commits.stop()
        for timer in self._held.values():
            timer.cancel()

    # Facts

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The consumer that is polled now."""
        return self._consumer

    @property
    def running(self) -> int:
        """Records in work."""
        return len(self._jobs)

    @property
    def member(self) -> bool:
        """True while this replica is in its group and knows its partitions' commits."""
        return (
            self._joined.is_set() and self._consumer is not None and member_id(self._consumer) != ""
        )

    async def joined(self) -> None:
        """Wait until this replica is a member and its books are open."""
        await self._joined.wait()

    def facts(self) -> dict[str, Any]:
        """For `/health`."""
        return {
            "member": self.member,
            "member_id": self._member,
            "partitions": _names(self._assigned),
            "paused_until_due": _names(self._held),
            "running": len(self._jobs),
            "limit": self._limit,
            "intake": "draining" if self._draining else self._reason or "open",
            "last_poll_s": round(time.monotonic() - self._polled_at, 3),
            "oldest_uncommitted_s": round(self._oldest_s(), 3),
        }

    def _oldest_s(self) -> float:
        sent = [record.timestamp_ms for record in self._jobs.values()]
        return max(0.0, time.time() - min(sent) / 1000) if sent else 0.0

    def _measure(self) -> None:
        metrics.LAST_POLL.set(time.time())
        metrics.IN_PROGRESS.set(len(self._jobs))
        metrics.PARTITIONS.set(len(self._assigned))
        metrics.GROUP_MEMBER.set(self.member)
        metrics.OLDEST_UNCOMMITTED.set(self._oldest_s())


def _names(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """Partition numbers by topic."""
    named: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        named.setdefault(topic, []).append(partition)
    return named
