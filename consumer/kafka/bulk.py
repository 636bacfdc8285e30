"""Large records leave through librdkafka, which packs and sends them in threads of its own.

The event loop reads the topics and waits for every job's answers. aiokafka packs on that loop and
holds the interpreter's lock meanwhile: 10 MB of JSON stop both for 50 to 150 ms, by zstd, a check
sum in software and several copies. Here they cost them one copy, 2 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from consumer.kafka.copy_headers import Headers
from consumer.kafka.producing import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_REQUEST_BYTES,
    NO_TOPIC,
    REQUEST_TIMEOUT_MS,
)
from consumer.settings import Settings
from consumer.threads import DaemonPool
from consumer.waiting import growing

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

POLL_S = 0.2
"""How long the end of the process may wait for the thread that listens for acknowledgements."""
LEARN_S = 10.0
QUEUED_KB = 4 * MAX_REQUEST_BYTES // 1024
"""Kilobytes that wait for a broker inside librdkafka; what comes on top waits out here."""
_UNKNOWN = ("_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART")

log = structlog.get_logger("publisher")


class BulkLine:
    """A connection to the brokers for large records; it opens when it is first used.

    Like `consumer.kafka.producing.Line` it is idempotent, waits out outages and may send twice.

    Args:
        compression: of what is sent, by its Kafka name. Packing mostly takes longer than sending:
            10 MB of numbers are with the broker after 30 ms as they are, and after 75 (lz4) or
            190 ms (zstd).
    """

    def __init__(self, settings: Settings, compression: str = "none") -> None:
        self._settings = settings
        self._compression = compression
        self._producer: Producer | None = None
        self._opening = asyncio.Lock()
        self._threads = DaemonPool(1, f"bulk-{compression}")
        self._waiting: dict[asyncio.Future[KafkaError | None], Producer] = {}
        self._listener: asyncio.Task[None] | None = None
        self._stopped = False

    async def learn(self, topic: str) -> bool:
        """Connect, and ask which brokers have a topic; False where it is not known in 10 s."""
        producer = await self._open()
        return await self._threads.submit(partial(_ask, producer, topic))

    async def stop(self) -> None:
        """Give up what is not acknowledged, and close the connection."""
        self._stopped = True
        async with self._opening:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge(blocking=False)
            await self._threads.submit(partial(producer.flush, POLL_S))
        self._threads.close()

    async def send(self, topic: str, value: bytes, key: bytes, headers: Headers) -> None:
        """Send and wait for all in-sync replicas, for as long as it takes.

        Raises:
            MessageSizeTooLargeError: the topic takes no record of this size.
        """
        pauses = growing(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while (error := await self._try(topic, value, key, headers)) is not None:
            if error.name() == "MSG_SIZE_TOO_LARGE":
                raise MessageSizeTooLargeError(error.str())
            why = NO_TOPIC if error.name() in _UNKNOWN else error.str()
            pause = next(pauses)
            log.warning("cannot announce yet", topic=topic, error=why, pause_s=pause)
            await asyncio.sleep(pause)

    async def _try(
        self, topic: str, value: bytes, key: bytes, headers: Headers
    ) -> KafkaError | None:
        """Send once; None when it is acknowledged."""
        producer = await self._open()
        from confluent_kafka import KafkaError, KafkaException

        loop = asyncio.get_running_loop()
        told: asyncio.Future[KafkaError | None] = loop.create_future()

        def tell(error: KafkaError | None, _record: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_settle, told, error)

        try:
            producer.produce(topic, value, key, headers=[*headers], on_delivery=tell)
        except KafkaException as refused:
            error: KafkaError = refused.args[0]
            if error.code() == KafkaError._FATAL and self._producer is producer:
                self._producer = None  # it can no longer number its records
            return error
        except BufferError as full:
            return KafkaError(KafkaError._QUEUE_FULL, str(full))
        self._waiting[told] = producer
        try:
            if self._listener is None or self._listener.done():
                self._listener = asyncio.create_task(self._listen())
            return await told
        finally:
            del self._waiting[told]

    async def _listen(self) -> None:
        """Have acknowledgements told while somebody waits for one, also of a client given up."""
        while not self._stopped and (asked := {*self._waiting.values()}):
            for producer in asked:
                await self._threads.submit(partial(producer.poll, POLL_S / len(asked)))

    async def _open(self) -> Producer:
        async with self._opening:
            if self._stopped:
                raise RuntimeError("the publisher is stopped")
            if self._producer is None:
                options = _options(self._settings, self._compression)
                self._producer = await self._threads.submit(partial(_connect, options))
        return self._producer


def _connect(options: dict[str, Any]) -> Producer:
    from confluent_kafka import Producer  # a quarter of a second, and not in every command

    return Producer(options)


def _ask(producer: Producer, topic: str) -> bool:
    from confluent_kafka import KafkaException

    try:
        return bool(producer.list_topics(topic, LEARN_S).topics[topic].partitions)
    except KafkaException:
        return False


def _settle(told: asyncio.Future[KafkaError | None], error: KafkaError | None) -> None:
    if not told.done():
        told.set_result(error)


def reaching(settings: Settings) -> dict[str, Any]:
    """librdkafka's words for where the brokers are and who we are."""
    options: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings.kafka_servers),
        "security.protocol": settings.kafka_security,
    }
    if settings.kafka_security.endswith("SSL"):
        known = settings.kafka_ca or ssl.get_default_verify_paths().cafile
        options["ssl.ca.location"] = str(known or "probe")
    if settings.kafka_security.startswith("SASL"):
        password = settings.kafka_password
        options |= {
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": password.get_secret_value() if password else "",
        }
    return options


def _options(settings: Settings, compression: str) -> dict[str, Any]:
    """librdkafka's words for what `consumer.kafka.client.connection` and `Line` tell aiokafka."""
    return {
        **reaching(settings),
        "client.id": f"face2face-{settings.replica}-bulk",
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": compression,
        "linger.ms": 0,
        "socket.nagle.disable": True,  # else the last bytes may wait for a delayed acknowledgement
        "partitioner": "murmur2_random",
        "message.max.bytes": MAX_REQUEST_BYTES,
        "queue.buffering.max.kbytes": QUEUED_KB,
        "message.timeout.ms": REQUEST_TIMEOUT_MS,
        "request.timeout.ms": REQUEST_TIMEOUT_MS,
        "reconnect.backoff.max.ms": round(LONGEST_PAUSE_S * 1000),
        "log_level": 0,  # what a logger gets waits in memory until it is polled for
    }
