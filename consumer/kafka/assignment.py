"""The partitions that this replica has now, and their books, through every rebalance.

A rebalance never waits for a job. It forgets pauses and rewinds positions to what the group has
committed (aiokafka 0.14), so at an assignment partitions are paused before anything is awaited,
and are read only when their ledgers know what the group has committed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from consumer.background import ended
from consumer.kafka.commits import Committer
from consumer.kafka.duplicate_member import Twins
from consumer.kafka.ledger import Commit, Ledger
from consumer.kafka.membership import end_coordination, is_fenced, member_id, place, read_commits
from consumer.kafka.offset_runs import unpack

REVOKE_TIMEOUT_S = 3.0
ERROR_PAUSE_S = 1.0

log = structlog.get_logger("assignment")


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """Follows the group's rebalances.

    Args:
        changed: called, without an await in between, whenever partitions come, open or go; it has
            to pause those that are not open.
        twins: decides what is done when another replica has taken this one's place.
    """

    def __init__(self, changed: Callable[[], None], twins: Twins | None = None) -> None:
        self._changed = changed
        self.twins = twins or Twins()
        self._books: dict[TopicPartition, Ledger] = {}
        self._restoring: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.consumer: AIOKafkaConsumer | None = None
        self.member_id = ""
        """As of the last assignment."""
        self._place = ""
        """The member id of the last join, of whichever consumer; kept when the place is lost."""
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.open: dict[TopicPartition, Ledger] = {}
        """Books of the partitions that may be read."""
        self.order: deque[TopicPartition] = deque()
        """The partition whose turn it is comes first."""
        self.joined = asyncio.Event()
        """Set while the books of all partitions are open."""
        self.commits = Committer(self.open)

    def adopt(self, consumer: AIOKafkaConsumer) -> None:
        """Take a consumer before it is started, so that its first assignment finds us."""
        self._let_go()
        self.consumer = consumer
        self.commits.start(consumer)

    def renew(self, partition: TopicPartition) -> Ledger:
        """Begin a new book, as the offsets of a partition mean other records now.

        Jobs that still run end in the book that they began in.
        """
        book = self._books[partition] = Ledger()
        if partition in self.open:
            self.open[partition] = book
        log.warning(
            "the log was cut or made anew; its records are taken from the first one on",
            topic=partition.topic,
            partition=partition.partition,
        )
        return book

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Commit for at most 3 s, then let the partitions go; jobs run on."""
        await self._stop_restoring()
        if self.open and not await self.commits.once(REVOKE_TIMEOUT_S):
            log.info("revoked before all was committed", partitions=by_topic(revoked))
        self._let_go()
        if await self.fenced() and self.twins.fenced():
            await asyncio.Future()  # joins no more; `stop` ends it

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pause at once; what the group has committed is read while the join goes on."""
        self._let_go()
        self.partitions = frozenset(assigned)
        self._changed()
        await self._stop_restoring()
        assert self.consumer is not None, "adopted before it was started"
        self._place = place(self.consumer)
        self.twins.joined()
        self._restoring = asyncio.create_task(self._restore(self.consumer), name="restore")

    async def stop(self) -> None:
        """Restore and commit no more."""
        for task in self._telling:
            task.cancel()
        await self._stop_restoring()
        await self.commits.stop()
        if self.twins.found.is_set() and self.consumer is not None:
            await end_coordination(self.consumer)

    async def fenced(self) -> bool:
        """Whether another replica has this one's place in the group; False when nobody knows."""
        consumer, instance = self.consumer, self.twins.instance
        if consumer is None or instance is None:
            return False
        self._place = place(consumer) or self._place
        try:
            return bool(self._place) and await is_fenced(consumer, instance, self._place)
        except (KafkaError, TimeoutError) as error:
            log.warning("it is not known who has this one's place", error=repr(error))
            return False

    async def _restore(self, consumer: AIOKafkaConsumer) -> None:
        committed = await self._read_commits(consumer)
        member = member_id(consumer)
        rejoined = self.member_id not in ("", member)
        self.member_id = member
        for gone in [p for p in self._books if not consumer.partitions_for_topic(p.topic)]:
            del self._books[gone]  # a topic of that name would be another
        for partition in self.partitions:
            book = self._books.setdefault(partition, Ledger())
            if rejoined:
                book.rejoined()
            found = committed.get(partition)
            if found is None and book.known:  # commits go with the topic, and only so
                book = self.renew(partition)
            book.restore(found.offset if found else None, found.metadata if found else "")
            self.open[partition] = book
            self.commits.restored(partition, found)
        self.order.extend(self.partitions)
        self.joined.set()
        log.info("partitions assigned", partitions=by_topic(self.partitions), rejoined=rejoined)
        self._changed()
        await self._tell_of_deleted(consumer, committed)

    def skipped(self, partition: TopicPartition, offset: int) -> None:
        """Reading went on behind a gap that begins at an offset: say so if records were deleted.

        Gaps of transactions and compaction are none of anybody's business.
        """
        if self.consumer is not None:
            told = self._tell_of_deleted(self.consumer, {partition: Commit(offset, "", 0)})
            task = asyncio.create_task(told, name="deleted")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell_of_deleted(
        self, consumer: AIOKafkaConsumer, committed: Mapping[TopicPartition, Commit]
    ) -> None:
        """Say which records the brokers deleted before the group was done with them."""
        try:
            starts = await consumer.beginning_offsets(list(committed))
        except (KafkaError, TimeoutError) as error:
            log.debug("the logs' starts are not known", error=repr(error))
            return
        for partition, commit in committed.items():
            known = unpack(commit.offset, commit.metadata)
            done = sum(max(0, min(end, starts[partition]) - first) for first, end in known)
            gone = starts[partition] - commit.offset - done
            if gone > 0:
                log.error(
                    "records were deleted before they were done: the topic keeps them too shortly",
                    topic=partition.topic,
                    partition=partition.partition,
                    records=gone,
                    offset=commit.offset,
                )

    async def _read_commits(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, Commit]:
        while True:
            try:
                return await read_commits(consumer, self.partitions)
            except KafkaError as error:
                log.warning("cannot read the group's offsets yet", error=repr(error))
            await asyncio.sleep(ERROR_PAUSE_S)

    async def _stop_restoring(self) -> None:
        task, self._restoring = self._restoring, None
        await ended(task)

    def _let_go(self) -> None:
        self.commits.abort()
        self.open.clear()
        self.order.clear()
        self.partitions = frozenset()
        self.joined.clear()
        self._changed()


def by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """Partition numbers by topic, for people."""
    named: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        named.setdefault(topic, []).append(partition)
    return named
