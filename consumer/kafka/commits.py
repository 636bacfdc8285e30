"""Commits the ledgers of the assigned partitions: soon after each finish, at most 5 times a second.

A commit that the group refuses (it is rebalancing, or this replica has just dropped out) is no
error: the ledgers keep what they know, and the next assignment commits it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    InvalidCommitOffsetSizeError,
    KafkaError,
    OffsetMetadataTooLargeError,
)

from consumer.background import ended, lasting
from consumer.kafka.ledger import Commit, Ledger

MIN_INTERVAL_S = 0.2
RETRY_S = 1.0
TIMEOUT_S = 5.0

log = structlog.get_logger("commits")


class Committer:
    """Commits what the ledgers know.

    Args:
        ledgers: of the partitions that are assigned and restored now; read at each commit.
    """

    def __init__(self, ledgers: Mapping[TopicPartition, Ledger]) -> None:
        self._ledgers = ledgers
        self._last: dict[TopicPartition, Commit] = {}
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._sending: asyncio.Future[None] | None = None
        self._plain = False
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, consumer: AIOKafkaConsumer) -> None:
        """Commit through this consumer from now on."""
        self._consumer = consumer
        if self._task is None:
            self._task = asyncio.create_task(lasting("commits", self._run), name="commits")

    async def stop(self) -> None:
        """Commit no more."""
        task, self._task = self._task, None
        await ended(task)

    def soon(self) -> None:
        """Something was finished."""
        self._wake.set()

    def restored(self, partition: TopicPartition, commit: Commit | None) -> None:
        """What the broker has for a partition that was just assigned; None for nothing."""
        self._last.pop(partition, None)
        if commit is not None:
            self._last[partition] = commit
        self._wake.set()

    async def once(self, timeout_s: float) -> bool:
        """One try to commit all that is finished now; True when the group took it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._commit()
        return False

    async def flush(self, timeout_s: float) -> bool:
        """Commit all that is finished now; tries again until it is taken or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not await self._commit():
                    await asyncio.sleep(0.1)
                return True
        return False

    def abort(self) -> None:
        """Break off a commit that has no answer: sent again later, it would be another owner's."""
        if self._sending is not None:
            self._sending.cancel()

    async def _run(self) -> None:
        self._wake.set()  # what it was told of before it broke off
        while True:
            await self._wake.wait()
            self._wake.clear()
            started = time.monotonic()
            if not await self._commit():
                await asyncio.sleep(RETRY_S)
                self._wake.set()
            await asyncio.sleep(max(0.0, MIN_INTERVAL_S - (time.monotonic() - started)))

    async def _commit(self) -> bool:
        """One round; True when nothing is left to commit of what was known at its start."""
        async with self._lock:
            wanted = self._wanted()
            consumer = self._consumer
            if not wanted or consumer is None:
                return True
            offsets = {p: (c.offset, "" if self._plain else c.metadata) for p, c in wanted.items()}
            if not await self._send(consumer, offsets):
                return False
            for partition, commit in wanted.items():
                self._last[partition] = commit
                if partition in self._ledgers:
                    self._ledgers[partition].acknowledged(commit)
            return True

    async def _send(
        self, consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, tuple[int, str]]
    ) -> bool:
        sending = self._sending = asyncio.ensure_future(consumer.commit(offsets))
        try:
            await asyncio.wait((sending,), timeout=TIMEOUT_S)
            if not sending.done() or sending.cancelled():
                log.info("a commit was not answered and is broken off")
                return False
            sending.result()
        except (OffsetMetadataTooLargeError, InvalidCommitOffsetSizeError):
            self._plain = True
            log.warning("the brokers take no commit metadata: more is repeated after a crash")
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit refused, the group is rebalancing", error=str(error))
        except KafkaError as error:
            log.warning("cannot commit yet", error=repr(error))
        else:
            return True
        finally:
            sending.cancel()
            self._sending = None
        return False

    def _wanted(self) -> dict[TopicPartition, Commit]:
        found = {partition: ledger.commit() for partition, ledger in self._ledgers.items()}
        return {p: c for p, c in found.items() if c is not None and c != self._last.get(p)}
