"""Cancellation: every replica reads all of the control topic, from its earliest record on.

A cancel counts for requests that were sent before it, wherever they are: not yet read, waiting,
running, or on the retry topic. A request with the same job id that is sent later is a new wish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Iterator

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from pydantic import ValidationError

from consumer.background import ended, lasting
from consumer.jobs import Job
from consumer.json_findings import reasons
from consumer.kafka.client import connection
from consumer.kafka.connecting import close_consumer
from consumer.kafka.decompression import BatchTooLarge
from consumer.kafka.delivery import RawRecord
from consumer.kafka.membership import check_reading
from consumer.kafka.polling import Poller
from consumer.kafka.untrusted_json import Refused, parse
from consumer.settings import Settings
from schemas.events import Control

MAX_REMEMBERED = 100_000
MAX_CONTROL_BYTES = 64 * 1024
CATCH_UP_S = 10.0
RETRY_S = 5.0
POLL_MS = 1000
MAX_RECORDS = 500

log = structlog.get_logger("control")


class Cancellations:
    """Which jobs upstream wants no more, and the jobs here that must be told."""

    def __init__(self) -> None:
        self._cancelled: OrderedDict[str, int] = OrderedDict()
        """Job id → when the last cancel was sent, ms since the epoch."""
        self._watched: dict[str, list[tuple[Job, int]]] = {}

    @contextlib.contextmanager
    def watch(self, job: Job, sent_ms: int) -> Iterator[None]:
        """Set `job.cancelled` when a cancel is known, or becomes known inside.

        Args:
            sent_ms: when the request was sent, milliseconds since the epoch.
        """
        entry = (job, sent_ms)
        jobs = self._watched.setdefault(job.job_id, [])
        jobs.append(entry)
        at_ms = self._cancelled.get(job.job_id)
        if at_ms is not None:
            _tell(entry, at_ms)
        try:
            yield
        finally:
            jobs.remove(entry)
            if not jobs:
                self._watched.pop(job.job_id, None)

    def cancel(self, job_id: str, at_ms: int) -> None:
        """Enter a cancel that was sent at `at_ms`."""
        at_ms = max(at_ms, self._cancelled.pop(job_id, 0))
        self._cancelled[job_id] = at_ms
        while len(self._cancelled) > MAX_REMEMBERED:
            self._cancelled.popitem(last=False)
        for entry in self._watched.get(job_id, ()):
            _tell(entry, at_ms)

    def read(self, raw: RawRecord, *, old: bool = False) -> None:
        """Enter a record of the control topic; what cannot be read is logged and passed over.

        Args:
            old: it was there before this replica, or was read before; there may be days of them,
                and no line is logged for each.
        """
        value = raw.value or b""
        try:
            if len(value) > MAX_CONTROL_BYTES:
                raise ValueError(f"{len(value)} bytes; at most {MAX_CONTROL_BYTES} are read")
            wish = Control.model_validate(parse(value))
        except ValidationError as error:
            log.warning("control record ignored", offset=raw.offset, error=reasons(error)[:300])
            return
        except (Refused, ValueError) as error:
            log.warning("control record ignored", offset=raw.offset, error=str(error)[:300])
            return
        (log.debug if old else log.info)("cancel requested", job_id=wish.job_id)
        self.cancel(wish.job_id, raw.timestamp)


def _tell(entry: tuple[Job, int], at_ms: int) -> None:
    job, sent_ms = entry
    if sent_ms <= at_ms:
        job.cancelled.set()


class ControlReader:
    """Reads the control topic, without a group, into `Cancellations`."""

    def __init__(self, settings: Settings, cancellations: Cancellations) -> None:
        self._settings = settings
        self._topic = settings.topics.control
        self._cancellations = cancellations
        self._caught_up = asyncio.Event()
        self._past: dict[TopicPartition, int] = {}
        """Records below these offsets were there before the start, or were read since."""
        self._task: asyncio.Task[None] | None = None
        self.trouble: str | None = None
        """Why no cancel can be heard now; None while they can."""
        self.consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Start reading; returns when all that is there now was read, at the latest after 10 s."""
        self._task = asyncio.create_task(lasting("control", self._run), name="control")
        try:
            await asyncio.wait_for(self._caught_up.wait(), CATCH_UP_S)
        except TimeoutError:
            log.warning("going on before all control records were read", topic=self._topic)

    async def stop(self) -> None:
        """Stop reading."""
        task, self._task = self._task, None
        await ended(task)

    async def _run(self) -> None:
        while True:
            consumer = self.consumer = AIOKafkaConsumer(
                self._topic,
                **connection(self._settings),
                group_id=None,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                isolation_level="read_committed",  # a cancel may be taken back, too
                metadata_max_age_ms=60_000,  # new partitions are found this soon, and read whole
                request_timeout_ms=10_000,
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except ConsumerStoppedError:
                return
            except KafkaError as error:
                self.trouble = f"topic {self._topic} cannot be read: {error!r}"
                log.warning("control topic not readable now", topic=self._topic, error=repr(error))
                self._caught_up.set()  # without the topic there is nothing to catch up with
            finally:
                await close_consumer(consumer)
            await asyncio.sleep(RETRY_S)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(consumer.assignment())
        self._past = {**ends, **self._past}
        while True:
            if not self._caught_up.is_set() and await _reached(consumer, ends):
                self._caught_up.set()
            check_reading(consumer)
            wait_ms = POLL_MS if self._caught_up.is_set() else 50
            try:
                found = await consumer.getmany(timeout_ms=wait_ms, max_records=MAX_RECORDS)
            except BatchTooLarge:
                await self._search(consumer)
                continue
            self.trouble = None if consumer.assignment() else f"topic {self._topic} is not there"
            for records in found.values():
                for raw in records:
                    self._enter(raw)

    async def _search(self, consumer: AIOKafkaConsumer) -> None:
        """Take one record more, or step over one that cannot be read."""
        poller = Poller(deque(consumer.assignment()), searching=True)
        raw = await poller.next(consumer)
        if raw is not None:
            self._enter(raw)

    def _enter(self, raw: RawRecord) -> None:
        place = TopicPartition(raw.topic, raw.partition)
        past = self._past.get(place, 0)
        self._cancellations.read(raw, old=raw.offset < past)
        self._past[place] = max(past, raw.offset + 1)


async def _reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
