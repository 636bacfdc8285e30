"""What the service says through Kafka: outcomes, retries, dead letters and progress.

Everything but progress is acknowledged by all in-sync replicas before it counts, and waits out an
outage of the brokers for as long as it takes (`consumer.kafka.producing`). A send may
therefore happen twice; copies of an outcome carry the same CloudEvents id.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from consumer import metrics
from consumer.faults import Fault
from consumer.jobs import Record
from consumer.kafka import copy_headers
from consumer.kafka.connecting import STOP_TIMEOUT_S
from consumer.kafka.dead_letters import DeadLetters
from consumer.kafka.producing import FIRST_PAUSE_S, Line
from consumer.settings import Settings
from consumer.waiting import growing
from schemas.codes import ErrorCode, Stage
from schemas.envelope import Envelope, EventType
from schemas.events import Completed, Failed, Progress
from schemas.render import ErrorFacts

SOURCE = "face2face"
"""`ce_source` of all our events: with the id it makes copies recognisable, whoever sent them."""
MAX_PROGRESS_PENDING = 64
PROGRESS_S = 2.0
"""Longest try to send a sign of life: by then there is a newer one."""
LONGEST_HELD_S = 30.0
"""Between two tries of an event that its topic is too small for."""

log = structlog.get_logger("publisher")


class Publisher:
    """An `Announcer` on idempotent producers."""

    def __init__(self, settings: Settings) -> None:
        self._topics = settings.topics
        self._line = Line(settings)
        self._letters = DeadLetters(settings, self._line)
        self._signs = Line(settings, numbered=False)
        self._pending: set[asyncio.Task[Any]] = set()
        self._too_small: dict[str, str] = {}
        """Topics that took no outcome, not even a shortened one, and why."""
        self._untold: Exception | None = None
        """Why the last sign of life did not arrive; None when it did."""

    async def start(self) -> None:
        """Connect; waits until a broker answers."""
        await self._line.start()

    def get_ready(self) -> None:
        """Open the other connections and learn where topics live, while other work goes on.

        Call it when all topics exist: a broker may create one that is asked for. Without it, the
        first records of each kind wait for this.
        """
        topics = self._topics
        self._in_background(self._signs.start())
        often = (topics.failed, topics.dlq, topics.completed, topics.retry)
        self._in_background(self._line.learn(often))
        for line in self._letters.large_lines:
            self._in_background(line.learn(topics.dlq))

    async def stop(self) -> None:
        """Close the connections; what is not acknowledged after 2 s is given up."""
        pending = set(self._pending)
        for task in pending:
            task.cancel()
        if pending:  # one that connects closes what it has
            await asyncio.wait(pending, timeout=STOP_TIMEOUT_S)
        lines = (self._line, self._signs, *self._letters.large_lines)
        await asyncio.gather(*(line.stop() for line in lines))

    async def topics(self) -> set[str]:
        """Names of the topics that exist.

        Raises:
            KafkaError: no broker answers now.
        """
        assert self._line.producer is not None, "started before"
        cluster = await self._line.producer.client.fetch_all_metadata()
        return set(cluster.topics())

    async def completed(self, event: Completed, event_id: str, traceparent: str | None) -> None:
        """Produce to `completed`; waits while the topic takes not even a shortened event."""
        envelope = _envelope(
            EventType.COMPLETED, event.job_id, event_id, event.finished_at, traceparent
        )
        note = "echoes and details are left out: the event is larger than its topic allows"
        warnings = [*event.warnings[:20], note]
        short: dict[str, Any] = {"metadata": {}, "consent": None, "quality": {}, "spans": []}
        small = event.model_copy(update={**short, "warnings": warnings})
        await self._outcome(self._topics.completed, (event, small), envelope)

    async def failed(self, event: Failed, event_id: str, traceparent: str | None) -> None:
        """Produce to `failed`; waits while the topic takes not even a shortened event."""
        envelope = _envelope(EventType.FAILED, event.job_id, event_id, event.failed_at, traceparent)
        small = event.model_copy(update={"metadata": {}, "consent": None})
        await self._outcome(self._topics.failed, (event, small), envelope)

    @property
    def unconnected(self) -> str | None:
        """Why no broker could be used at the last try, while `start` waits for one."""
        return self._line.unconnected if self._line.producer is None else None

    @property
    def trouble(self) -> str | None:
        """Why outcomes cannot be announced now; None while they can, as far as it is known."""
        return next(iter(self._too_small.values()), None) or self._line.waiting

    async def _outcome(
        self, topic: str, shapes: Sequence[Completed | Failed], envelope: Envelope
    ) -> None:
        """Send the first shape of an event that its topic takes, once it takes one."""
        for pause in growing(FIRST_PAUSE_S, LONGEST_HELD_S):
            for shape in shapes:
                with contextlib.suppress(MessageSizeTooLargeError):
                    await self._event(topic, shape, envelope)
                    self._too_small.pop(topic, None)
                    return
            why = (
                f"topic {topic} takes no event of {len(_value(shapes[-1]))} bytes; raise its "
                "max.message.bytes, as `face2face topics apply` does"
            )
            self._too_small[topic] = why
            log.error("an outcome is held", error=why, pause_s=pause)
            await asyncio.sleep(pause)

    async def retry(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int, due: datetime
    ) -> None:
        """Produce the raw record to the retry topic.

        Raises:
            Fault: the retry topic takes no record of this size.
        """
        headers = copy_headers.retry_headers(record, job_id, error, attempt, due, datetime.now(UTC))
        key = record.key or job_id.encode()
        try:
            await self._line.send(self._topics.retry, record.value, key, headers)
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
        await self._letters.send(record, job_id, error, attempt)

    async def request(self, value: bytes, key: bytes, headers: copy_headers.Headers) -> None:
        """Produce a request: for replays.

        Raises:
            MessageSizeTooLargeError: the request topic takes no record of this size.
        """
        await self._line.send(self._topics.requests, value, key, headers)

    def progress(self, event: Progress) -> None:
        """Produce a sign of life some time soon; dropped where many wait to be sent already."""
        if len(self._pending) >= MAX_PROGRESS_PENDING:
            return
        envelope = _envelope(
            EventType.PROGRESS, event.job_id, str(uuid.uuid4()), event.at, traceparent=None
        )
        self._in_background(self._progress(event, envelope))

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _progress(self, event: Progress, envelope: Envelope) -> None:
        topic = self._topics.progress
        value, headers = _value(event), _encode(envelope.headers())
        key = event.job_id.encode()
        try:
            async with asyncio.timeout(PROGRESS_S):
                await self._signs.start()
                producer = self._signs.producer
                if producer is None:  # stopped
                    return
                await producer.send_and_wait(topic, value, key=key, headers=headers)
        except (KafkaError, TimeoutError) as error:
            if self._untold is None:
                log.warning("progress is not told", topic=topic, error=repr(error))
            self._untold = error
        else:
            if self._untold is not None:
                log.info("progress is told again", topic=topic)
            self._untold = None

    async def _event(self, topic: str, event: Completed | Failed, envelope: Envelope) -> None:
        value = _value(event)
        await self._line.send(topic, value, event.job_id.encode(), _encode(envelope.headers()))


def _value(event: Completed | Failed | Progress) -> bytes:
    return event.model_dump_json(exclude_none=True).encode()


def _envelope(
    kind: EventType, job_id: str, event_id: str, at: datetime, traceparent: str | None
) -> Envelope:
    return Envelope(event_id, SOURCE, kind, at, subject=job_id, traceparent=traceparent)


def _encode(headers: Mapping[str, str]) -> copy_headers.Headers:
    return [(name, text.encode("utf-8", "replace")) for name, text in headers.items()]
