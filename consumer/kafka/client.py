"""A small client of the service: sends one request and listens for what becomes of it.

It is what any upstream could write: the topics are the interface, and nothing here knows more.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.kafka.connecting import ClientFailed, close, close_consumer, reach
from consumer.kafka.decompression import bound_batches
from consumer.kafka.header_names import forgive_header_names
from consumer.kafka.listening import ANSWER_MS, Listening
from consumer.kafka.request_timeout import expect_answers
from consumer.settings import Settings
from schemas.envelope import Envelope, EventType, read_headers
from schemas.request import RenderRequest

POLL_MS = 500
SEND_S = 10.0
"""Longest wait of somebody who looks on; the client's own is forty seconds."""
MADE_S = 5.0
"""After it is made, a topic is in every broker's metadata."""


@dataclass(frozen=True, slots=True)
class Event:
    """One message of the service about a job."""

    topic: str
    kind: str
    """`progress`, `completed` or `failed`."""
    headers: Mapping[str, str] = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    """The value as it came: it may hold fields that this version does not know."""

    @property
    def job_id(self) -> str:
        """The job that it speaks of."""
        return str(self.data.get("job_id", ""))

    @property
    def final(self) -> bool:
        """True when nothing more will be said about the job."""
        return self.kind in ("completed", "failed")


def connection(settings: Settings) -> dict[str, Any]:
    """Connection arguments of aiokafka clients."""
    bound_batches()  # of every consumer in this process
    forgive_header_names()
    expect_answers()
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.kafka_servers),
        "security_protocol": settings.kafka_security,
    }
    if settings.kafka_security.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(
            cafile=str(settings.kafka_ca) if settings.kafka_ca else None
        )
    if settings.kafka_security.startswith("SASL"):
        password = settings.kafka_password
        options |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return options


class Client:
    """Sends requests and yields events; made by `connect`."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, listener: Listening) -> None:
        self._topics = settings.topics
        self._producer = producer
        self._listener = listener
        self._kinds = {
            self._topics.progress: "progress",
            self._topics.completed: "completed",
            self._topics.failed: "failed",
        }

    async def submit(self, request: RenderRequest) -> str:
        """Send one request; returns its job id, drawn here when the request names none.

        Raises:
            ClientFailed: no broker took it in time.
        """
        job_id = request.job_id or str(uuid.uuid4())
        envelope = Envelope(
            id=job_id,
            source="face2face/client",
            type=EventType.REQUEST,
            time=datetime.now(UTC),
            subject=job_id,
        )
        value = request.model_dump(mode="json", exclude_defaults=True)
        sending = self._producer.send_and_wait(
            self._topics.requests,
            json.dumps(value, ensure_ascii=False).encode(),
            key=job_id.encode(),
            headers=[(name, text.encode()) for name, text in envelope.headers().items()],
        )
        try:
            await asyncio.wait_for(sending, SEND_S)
        except TimeoutError as error:
            raise ClientFailed(
                f"no broker took the request within {SEND_S:g} s. It may have arrived all the "
                f"same: sent again as job {job_id!r}, it is not rendered twice"
            ) from error
        return job_id

    async def events(self, job_id: str) -> AsyncIterator[Event]:
        """What is said about a job, ending with its outcome."""
        while True:
            for record in await self._listener.next(POLL_MS):
                event = self._read(record)
                if event is None or event.job_id != job_id:
                    continue
                yield event
                if event.final:
                    return

    async def why_silent(self) -> str | None:
        """Why nothing can be heard now; None while the brokers answer."""
        return await self._listener.why_silent()

    def _read(self, record: Any) -> Event | None:
        try:
            data = json.loads(record.value or b"null")
        except (ValueError, RecursionError):
            return None
        if not isinstance(data, dict):
            return None
        kind = self._kinds[record.topic]
        return Event(record.topic, kind, read_headers(record.headers), data)


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Client]:
    """A client that already listens, so that no event of a later request can be missed.

    Raises:
        ClientFailed: no broker answers, or a topic does not exist.
    """
    topics = settings.topics
    names = (topics.progress, topics.completed, topics.failed)
    options = connection(settings)
    producer = AIOKafkaProducer(**options, enable_idempotence=True, request_timeout_ms=ANSWER_MS)
    listener = Listening(**options)
    try:
        await reach(settings, producer.start())
        await reach(settings, listener.consumer.start())
        await _find_topics(listener.consumer, {topics.requests, *names})
        try:
            await listener.begin(names)
        except TimeoutError as error:
            raise ClientFailed(
                f"nobody leads some partition of topics {', '.join(names)}; "
                "start the brokers that are missing"
            ) from error
        yield Client(settings, producer, listener)
    finally:
        await close_consumer(listener.consumer)
        await close(producer)


async def _find_topics(listener: AIOKafkaConsumer, names: set[str]) -> None:
    """Wait a moment for topics that were just made; to subscribe first would blame the brokers."""
    end = time.monotonic() + MADE_S
    while missing := names - await listener.topics():
        if time.monotonic() > end:
            text = ", ".join(sorted(missing))
            raise ClientFailed(f"topics {text} are not there; run `face2face topics apply`")
        await asyncio.sleep(0.1)
