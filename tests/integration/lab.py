"""A laboratory for deliveries: real Kafka, the real intake, and work that the test commands.

`Work` stands where rendering stands: it is told by the request's metadata how long to take, or
waits for the test's word. What is under test is which records are given to it, when, how often,
and what the group has committed meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from consumer.jobs import Job, Record, Verdict
from consumer.kafka.control import Cancellations, ControlReader
from consumer.kafka.handler import Handler
from consumer.kafka.membership import read_commits
from consumer.kafka.offset_runs import OffsetRuns, unpack
from consumer.kafka.subscriber import Intake
from consumer.places import elsewhere
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.codes import ErrorCode
from schemas.render import ErrorFacts
from tests.support.handles import KafkaHandle

QUICK = {
    "KAFKA_SESSION_TIMEOUT_S": "30",  # nobody dies here; whoever kills sets less
    "KAFKA_HEARTBEAT_S": "0.3",
    "KAFKA_REBALANCE_TIMEOUT_S": "10",
    "KAFKA_MAX_POLL_INTERVAL_S": "60",
}
PATIENCE_S = 120.0
MINIMAL = {"audio_url": "s3://face2face/a.wav", "video_url": "s3://face2face/v.mp4"}
Place = tuple[str, int, int]


class Work:
    """A `JobProcessor` that records what it is given and ends when the request or the test says."""

    def __init__(self) -> None:
        self.started: list[Place] = []
        self.finished: list[Place] = []
        self.rejected: list[tuple[Place, ErrorFacts]] = []
        self.jobs: list[Job] = []
        self.running = 0
        self.most_running = 0
        self.gates: dict[str, asyncio.Event] = {}
        """Jobs that name a gate in their metadata wait for it."""
        self._changed = asyncio.Condition()

    async def process(self, job: Job) -> Verdict:
        place = _place(job.record)
        self.jobs.append(job)
        self.started.append(place)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self._say()
        try:
            cancelled = await self._work(job)
        finally:
            self.running -= 1
        self.finished.append(place)
        await self._say()
        code = ErrorCode.CANCELLED if cancelled else None
        return Verdict("failed" if cancelled else "completed", code)

    async def _work(self, job: Job) -> bool:
        if job.request.metadata.get("elsewhere"):  # as if another replica worked on it
            with elsewhere():
                await asyncio.Event().wait()
        gate = job.request.metadata.get("gate")
        seconds = float(job.request.metadata.get("seconds", "0"))
        end = (
            self.gates.setdefault(gate, asyncio.Event()).wait() if gate else asyncio.sleep(seconds)
        )
        tasks = [asyncio.ensure_future(end), asyncio.ensure_future(job.cancelled.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return job.cancelled.is_set()
        finally:
            for task in tasks:
                task.cancel()

    async def reject(self, record: Record, job_id: str, error: ErrorFacts) -> Verdict:
        self.rejected.append((_place(record), error))
        await self._say()
        return Verdict("rejected", error.code)

    def open(self, gate: str) -> None:
        self.gates.setdefault(gate, asyncio.Event()).set()

    async def until(self, what: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(what)

    async def _say(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Lab:
    """One broker, one topic prefix, one group."""

    def __init__(self, kafka: KafkaHandle, **env: str) -> None:
        self.kafka = kafka
        self.env = {**kafka.env, **QUICK, **env}
        self.topics = kafka.topics

    def settings(self, **env: str) -> Settings:
        return load({**self.env, **env})

    @asynccontextmanager
    async def intake(
        self,
        work: Work,
        *,
        limit: int = 4,
        settings: Settings | None = None,
        control: bool = False,
        drain_s: float = 0.0,
        **options: Any,
    ) -> AsyncIterator[Intake]:
        """A replica in this process; drained and stopped at the end of the block."""
        settings = settings or self.settings()
        cancellations = Cancellations()
        reader = ControlReader(settings, cancellations)
        if control:
            await reader.start()
        handler = Handler(work, cancellations, settings.topics.retry)
        intake = Intake(settings, handler, lambda: limit, **options)
        try:
            await asyncio.wait_for(intake.start(), PATIENCE_S)
            yield intake
            await intake.pump.drain(drain_s)
        finally:
            await intake.stop()
            await reader.stop()

    async def send(self, records: Sequence[Mapping[str, Any]]) -> list[Place]:
        """Produce; each mapping: `value`, and optionally `partition`, `key`, `headers`, `topic`."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.servers,
            enable_idempotence=True,
            max_request_size=32 * 1024 * 1024,
        )
        await producer.start()
        try:
            places = []
            for record in records:
                sent = await producer.send_and_wait(
                    record.get("topic", self.topics.requests),
                    record["value"],
                    partition=record.get("partition", 0),
                    key=record.get("key"),
                    headers=record.get("headers", []),
                )
                places.append((sent.topic, sent.partition, sent.offset))
            return places
        finally:
            await producer.stop()

    async def committed(
        self, partition: int = 0, topic: str | None = None, group: str | None = None
    ) -> tuple[int, OffsetRuns]:
        """The group's committed offset and the finished offsets in its metadata."""
        async with self._reader(group_id=group or self.kafka.group) as reader:
            tp = TopicPartition(topic or self.topics.requests, partition)
            found = (await read_commits(reader, [tp])).get(tp)
            if found is None:
                return 0, OffsetRuns()
            return found.offset, OffsetRuns(unpack(found.offset, found.metadata))

    async def until_committed(
        self,
        offset: int,
        partition: int = 0,
        timeout_s: float = PATIENCE_S,
        topic: str | None = None,
    ) -> None:
        """Wait until all records below `offset` count as finished."""

        async def reached() -> bool:
            return (await self.committed(partition, topic))[0] >= offset

        await until(reached, timeout_s)

    async def read(self, topic: str, count: int) -> list[Any]:
        """The first `count` records of a topic."""
        async with (
            self._reader(topic, group_id=None, auto_offset_reset="earliest") as reader,
            asyncio.timeout(PATIENCE_S),
        ):
            return [await reader.getone() for _ in range(count)]

    @asynccontextmanager
    async def _reader(self, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=self.kafka.servers, enable_auto_commit=False, **options
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


def job(**metadata: str) -> bytes:
    """A valid request that tells `Work` what to do: `seconds` or `gate`."""
    return json.dumps({**MINIMAL, "metadata": metadata}).encode()


def break_fetching(consumer: Any) -> None:
    """Let the task that fetches for a consumer of aiokafka end by an error that nobody foresaw."""

    async def fail(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    consumer._fetcher._proc_fetch_request = fail


async def until(what: Callable[[], Awaitable[bool]], timeout_s: float = PATIENCE_S) -> None:
    """Ask until it holds."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            if await what():
                return
        except KafkaError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout_s:g} s")
        await asyncio.sleep(0.05)


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset
