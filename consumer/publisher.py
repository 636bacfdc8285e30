"""What the service says through Kafka: outcomes, retries, dead letters and progress.

Everything but progress is acknowledged by all in-sync replicas before it counts, and waits out an
outage of the brokers for as long as it takes. A send may therefore happen twice (its first answer
was lost); copies of an outcome carry the same CloudEvents id.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)

from consumer import copies, delivery, metrics
from consumer.client import connection
from consumer.faults import Fault
from consumer.jobs import Record
from consumer.settings import Settings
from consumer.throttle import PROGRESS_EVERY_S, Throttle
from schemas.codes import ErrorCode, Stage
from schemas.envelope import Envelope, EventType
from schemas.events import Completed, Failed, Progress
from schemas.render import ErrorFacts

SOURCE = "face2face"
"""`ce_source` of all our events: with the id it makes copies recognisable, whoever sent them."""
MAX_REQUEST_BYTES = 16 * 1024 * 1024
REQUEST_TIMEOUT_MS = 10_000
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
STOP_TIMEOUT_S = 2.0
SHORTER_VALUES = (900_000, 100_000, 0)
"""Bytes of a dead letter's value that are tried in turn where the topic takes no more."""
MAX_PROGRESS_PENDING = 64

log = structlog.get_logger("publisher")


class Publisher:
    """An `Announcer` on one idempotent producer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._producer: AIOKafkaProducer | None = None
        self._replaced = asyncio.Event()
        self._renewal = asyncio.Lock()
        self._pending: set[asyncio.Task[None]] = set()
        self._throttle = Throttle()

    async def start(self) -> None:
        """Connect; waits until a broker answers."""
        pause = FIRST_PAUSE_S
        while self._producer is None:
            try:
                self._producer = await self._connect()
            except KafkaError as error:
                log.warning("no broker answers", brokers=self._settings.kafka_servers, error=error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """Close the connection; what is not acknowledged after 2 s is given up."""
        for task in self._pending:
            task.cancel()
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)

    async def topics(self) -> set[str]:
        """Names of the topics that exist.

        Raises:
            KafkaError: no broker answers now.
        """
        assert self._producer is not None, "started before"
        cluster = await self._producer.client.fetch_all_metadata()
        return set(cluster.topics())

    async def completed(self, event: Completed, event_id: str, traceparent: str | None) -> None:
        """Produce to `completed`."""
        envelope = _envelope(
            EventType.COMPLETED, event.job_id, event_id, event.finished_at, traceparent
        )
        self._throttle.forget(event.job_id)
        try:
            await self._event(self._topics.completed, event, envelope)
        except MessageSizeTooLargeError:
            note = "echoes and details are left out: the event is larger than its topic allows"
            warnings = [*event.warnings[:20], note]
            short: dict[str, Any] = {"metadata": {}, "consent": None, "quality": {}, "spans": []}
            small = event.model_copy(update={**short, "warnings": warnings})
            await self._event(self._topics.completed, small, envelope)

    async def failed(self, event: Failed, event_id: str, traceparent: str | None) -> None:
        """Produce to `failed`."""
        envelope = _envelope(EventType.FAILED, event.job_id, event_id, event.failed_at, traceparent)
        self._throttle.forget(event.job_id)
        try:
            await self._event(self._topics.failed, event, envelope)
        except MessageSizeTooLargeError:
            small = event.model_copy(update={"metadata": {}, "consent": None})
            await self._event(self._topics.failed, small, envelope)

    async def retry(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int, due: datetime
    ) -> None:
        """Produce the raw record to the retry topic.

        Raises:
            Fault: the retry topic takes no record of this size.
        """
        headers = copies.retry_headers(record, job_id, error, attempt, due, datetime.now(UTC))
        key = record.key or job_id.encode()
        try:
            await self._send(self._topics.retry, record.value, key, headers)
        except MessageSizeTooLargeError as too_large:
            raise Fault.of(
                ErrorCode.INTERNAL,
                Stage.ANNOUNCE,
                f"topic {self._topics.retry} takes no record of {len(record.value or b'')} bytes; "
                "raise its max.message.bytes above that of the request topic",
            ) from too_large
        metrics.RETRIES.labels(error.code.value).inc()

    async def dead_letter(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int
    ) -> None:
        """Produce the raw record to the dead-letter topic; cut short where it takes no more."""
        headers = copies.dead_headers(record, job_id, error, attempt, datetime.now(UTC))
        key = record.key or job_id.encode()
        try:
            await self._send(self._topics.dlq, record.value, key, headers)
        except MessageSizeTooLargeError:
            await self._send_shorter(record.value or b"", key, headers)
        metrics.DEAD_LETTERS.labels(error.code.value).inc()

    async def request(self, value: bytes, key: bytes, headers: copies.Headers) -> None:
        """Produce a request: for replays.

        Raises:
            MessageSizeTooLargeError: the request topic takes no record of this size.
        """
        await self._send(self._topics.requests, value, key, headers)

    def progress(self, event: Progress) -> None:
        """Produce a sign of life some time soon, at most every 2 s or 5 % of a job."""
        if len(self._pending) >= MAX_PROGRESS_PENDING or not self._throttle.lets_pass(event):
            return
        envelope = _envelope(
            EventType.PROGRESS, event.job_id, str(uuid.uuid4()), event.at, traceparent=None
        )
        task = asyncio.create_task(self._progress(event, envelope))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _progress(self, event: Progress, envelope: Envelope) -> None:
        producer = self._producer
        if producer is None:
            return
        with contextlib.suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(
                producer.send_and_wait(
                    self._topics.progress,
                    event.model_dump_json(exclude_none=True).encode(),
                    key=event.job_id.encode(),
                    headers=_encode(envelope.headers()),
                ),
                PROGRESS_EVERY_S,
            )

    async def _event(self, topic: str, event: Completed | Failed, envelope: Envelope) -> None:
        value = event.model_dump_json(exclude_none=True).encode()
        await self._send(topic, value, event.job_id.encode(), _encode(envelope.headers()))

    async def _send_shorter(self, value: bytes, key: bytes, headers: copies.Headers) -> None:
        marked = [*headers, (delivery.TRUNCATED, str(len(value)).encode())]
        for limit in SHORTER_VALUES:
            with contextlib.suppress(MessageSizeTooLargeError):
                return await self._send(self._topics.dlq, value[:limit], key, marked)
        log.error("the dead-letter topic takes not even headers", topic=self._topics.dlq)
        return None

    async def _send(
        self, topic: str, value: bytes | None, key: bytes, headers: copies.Headers
    ) -> None:
        """Send and wait for all in-sync replicas, for as long as it takes.

        Raises:
            MessageSizeTooLargeError: the topic takes no record of this size.
        """
        pause = FIRST_PAUSE_S
        while True:
            producer = self._producer
            if producer is None:
                raise RuntimeError("the publisher is stopped")
            try:
                await self._until_replaced(
                    producer.send_and_wait(topic, value, key=key, headers=headers)
                )
                return
            except MessageSizeTooLargeError:
                await self._renew(producer)  # its sequence numbers have a gap now
                raise
            except KafkaError as error:
                log.warning("cannot announce yet", topic=topic, error=_hint(error), pause_s=pause)
                if not error.retriable:
                    await self._renew(producer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _until_replaced(self, sending: Coroutine[Any, Any, Any]) -> None:
        """Wait for a send, but not for one that went down with its producer."""
        replaced = asyncio.ensure_future(self._replaced.wait())
        sent = asyncio.ensure_future(sending)
        try:
            await asyncio.wait((sent, replaced), return_when=asyncio.FIRST_COMPLETED)
            if not sent.done():
                await asyncio.wait((sent,), timeout=STOP_TIMEOUT_S)
            if not sent.done():
                raise KafkaError("the producer was replaced before it had an answer")
            sent.result()
        finally:
            replaced.cancel()
            sent.cancel()

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        """Put a new producer in the place of one that can no longer number its records."""
        async with self._renewal:
            if self._producer is not broken:
                return
            with contextlib.suppress(KafkaError):
                self._producer = await self._connect()
                self._replaced.set()
                self._replaced = asyncio.Event()
                await _close(broken)

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **connection(self._settings),
            client_id=f"face2face-{self._settings.replica}",
            acks="all",
            enable_idempotence=True,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=round(FIRST_PAUSE_S * 1000),
            metadata_max_age_ms=60_000,
        )
        try:
            await producer.start()
        except BaseException:
            await _close(producer)
            raise
        return producer


def _envelope(
    kind: EventType, job_id: str, event_id: str, at: datetime, traceparent: str | None
) -> Envelope:
    return Envelope(event_id, SOURCE, kind, at, subject=job_id, traceparent=traceparent)


def _encode(headers: Mapping[str, str]) -> copies.Headers:
    return [(name, text.encode("utf-8", "replace")) for name, text in headers.items()]


def _hint(error: KafkaError) -> str:
    if isinstance(error, UnknownTopicOrPartitionError):
        return "the topic does not exist; run `face2face topics apply`"
    return repr(error)


async def _close(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(producer.stop(), STOP_TIMEOUT_S)
