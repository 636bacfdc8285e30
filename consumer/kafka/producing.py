"""One idempotent producer that outlives outages: sends until all in-sync replicas have the record.

A send may happen twice, when its first answer was lost. A producer that can no longer number its
records is replaced by a new one; whoever waits for the old one's answer sends again.

Records that may get lost are better sent without numbers: one that a partition refuses leaves a gap
there, behind which nothing more is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)

from consumer.kafka.client import connection
from consumer.kafka.connecting import STOP_TIMEOUT_S, close
from consumer.kafka.connection_errors import CONNECTION_ERRORS, told
from consumer.kafka.copy_headers import Headers
from consumer.kafka.refusals import COMPLAINTS
from consumer.settings import Settings
from consumer.waiting import growing

MAX_REQUEST_BYTES = 16 * 1024 * 1024
REQUEST_TIMEOUT_MS = 10_000
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
OVERDUE_S = 10.0
"""After so long without an acknowledgement it is said why, and again after as long."""
NO_TOPIC = "the topic does not exist; run `face2face topics apply`"

log = structlog.get_logger("publisher")


class Line:
    """A connection to the brokers on which records are sent.

    Args:
        numbered: whether a record must arrive, once for each send, at all in-sync replicas.
    """

    def __init__(self, settings: Settings, *, numbered: bool = True) -> None:
        self._settings = settings
        self._numbered = numbered
        self._producer: AIOKafkaProducer | None = None
        self._stopped = False
        self._replaced = asyncio.Event()
        self._renewal = asyncio.Lock()
        self._overdue: dict[asyncio.Future[Any], str] = {}
        self.unconnected: str | None = None
        """Why the last try to connect for the first time failed."""

    async def start(self) -> None:
        """Connect; waits until a broker answers."""
        CONNECTION_ERRORS.listen()
        pauses = growing(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        async with self._renewal:
            while self._producer is None and not self._stopped:
                try:
                    self._producer = await self._connect()
                except KafkaError as error:
                    self.unconnected = told(CONNECTION_ERRORS.lately() or error)
                    servers, why = self._settings.kafka_servers, self.unconnected
                    log.warning("no broker can be used yet", brokers=servers, error=why)
                    await asyncio.sleep(next(pauses))

    async def learn(self, topics: Iterable[str]) -> None:
        """Connect where that was not done, and ask which brokers have some topics."""
        await self.start()
        for topic in topics:
            with contextlib.suppress(KafkaError):
                if self._producer is not None:
                    await self._producer.partitions_for(topic)

    async def stop(self) -> None:
        """Close the connection; what is not acknowledged after 2 s is given up."""
        self._stopped = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await close(producer)

    @property
    def producer(self) -> AIOKafkaProducer | None:
        """The one in use; None before the start and after the end."""
        return self._producer

    @property
    def waiting(self) -> str | None:
        """What has waited for its acknowledgement for too long, and why; None if nothing has."""
        return next(iter(self._overdue.values()), None)

    async def send(self, topic: str, value: bytes | None, key: bytes, headers: Headers) -> None:
        """Send and wait for all in-sync replicas, for as long as it takes.

        Raises:
            MessageSizeTooLargeError: the topic takes no record of this size.
        """
        for pause in growing(FIRST_PAUSE_S, LONGEST_PAUSE_S):
            try:
                await self.try_to_send(topic, value, key, headers)
                return
            except MessageSizeTooLargeError:
                raise
            except KafkaError as error:
                log.warning("cannot announce yet", topic=topic, error=_hint(error), pause_s=pause)
            await asyncio.sleep(pause)

    async def try_to_send(
        self, topic: str, value: bytes | None, key: bytes, headers: Headers
    ) -> None:
        """Send and wait for all in-sync replicas: one try, which an outage makes a long one.

        Raises:
            KafkaError: the brokers do not take it; whoever sends next is not harmed by that.
        """
        producer = self._producer
        if producer is None:
            raise RuntimeError("the publisher is stopped")
        try:
            sending = producer.send_and_wait(topic, value, key=key, headers=headers)
            await self._until_replaced(topic, sending)
        except KafkaError as error:
            if not error.retriable:
                await self._renew(producer)  # its sequence numbers have a gap now
            raise

    async def _until_replaced(self, topic: str, sending: Coroutine[Any, Any, Any]) -> None:
        """Wait for a send, but not for one that went down with its producer."""
        replaced = asyncio.ensure_future(self._replaced.wait())
        sent = asyncio.ensure_future(sending)
        try:
            await self._first((sent, replaced), topic)
            if not sent.done():
                await asyncio.wait((sent,), timeout=STOP_TIMEOUT_S)
            if not sent.done():
                raise KafkaError("the producer was replaced before it had an answer")
            sent.result()
        finally:
            self._overdue.pop(sent, None)
            replaced.cancel()
            sent.cancel()

    async def _first(self, either: tuple[asyncio.Future[Any], ...], topic: str) -> None:
        """Wait for the first to end. An idempotent client tries again for ever and says nothing."""
        began = time.monotonic()
        while True:
            done, _ = await asyncio.wait(
                either, timeout=OVERDUE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return
            waited_s = round(time.monotonic() - began)
            why = COMPLAINTS.last(topic) or "no broker acknowledges it"
            self._overdue[either[0]] = f"topic {topic} takes no record now: {why}"
            log.warning("cannot announce yet", topic=topic, error=why, waited_s=waited_s)

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        """Put a new producer in the place of one that can no longer number its records."""
        async with self._renewal:
            replaced = self._producer is not broken
            if replaced:
                return
            with contextlib.suppress(KafkaError):
                self._producer = await self._connect()
                self._replaced.set()
                self._replaced = asyncio.Event()
                await close(broken)

    async def _connect(self) -> AIOKafkaProducer:
        COMPLAINTS.listen()
        producer = AIOKafkaProducer(
            **connection(self._settings),
            client_id=f"face2face-{self._settings.replica}",
            acks="all" if self._numbered else 1,
            enable_idempotence=self._numbered,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=round(FIRST_PAUSE_S * 1000),
            metadata_max_age_ms=60_000,
        )
        try:
            await producer.start()
        except BaseException:
            await close(producer)
            raise
        return producer


def _hint(error: KafkaError) -> str:
    if isinstance(error, UnknownTopicOrPartitionError):
        return NO_TOPIC
    return repr(error)
