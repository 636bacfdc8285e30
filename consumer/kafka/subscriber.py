"""The long-job subscriber on FastStream. The only module that touches FastStream's insides.

FastStream as it comes loses or repeats jobs that take minutes: it parses and runs one record at a
time per partition, or commits what has not ended. `JobSubscriber` keeps all of FastStream that runs
for one message (parser, layers around the handler) and moves it into a task per record; polling,
offsets, rebalances and the drain are `consumer.kafka.pump`'s.

What it relies on, in FastStream 0.7: `LogicSubscriber.builder` makes the consumer,
`_run_consume_loop` polls it, `process_message` sees one raw message through them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.subscriber.usecase import DefaultSubscriber

from consumer.jobs import Record, Verdict
from consumer.kafka.assignor import StickyByTopic
from consumer.kafka.broker import make_broker
from consumer.kafka.connecting import close, close_consumer
from consumer.kafka.delivery import RawRecord
from consumer.kafka.duplicate_member import Twins
from consumer.kafka.join_errors import advice
from consumer.kafka.membership import end_fetching
from consumer.kafka.pump import Pump
from consumer.settings import Settings
from consumer.waiting import first_of, growing

FETCH_BYTES = 64 * 1024
"""Per partition and fetch. A larger record comes alone (KIP-74), so 10 MB pass too."""
RECONNECT_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0

Handle = Callable[[Record], Awaitable[Verdict]]

log = structlog.get_logger("subscriber")


@dataclass(slots=True)
class _Delivery:
    """One record on its way through FastStream to the handler."""

    record: Record
    entered: bool = False
    verdict: Verdict | None = None
    message: KafkaMessage | None = None

    def let_go(self) -> None:
        """Take the bytes out of FastStream's message.

        It refers to itself, and would keep them until the next collection of garbage, which counts
        objects and not the megabytes that hang on them.
        """
        if self.message is not None:
            self.message.raw_message = None
            self.message.body = b""
            self.message = None


_DELIVERY: ContextVar[_Delivery] = ContextVar("delivery")


class JobSubscriber(DefaultSubscriber):
    """FastStream's Kafka subscriber, polled by a `Pump`."""

    __slots__ = ()
    pump: Pump

    @property
    def builder(self) -> Callable[..., AIOKafkaConsumer]:
        """Makes consumers that the pump knows before they are started."""
        build = super().builder

        def build_known(**options: Any) -> AIOKafkaConsumer:
            consumer = build(**options)
            self.pump.assignment.adopt(consumer)
            return consumer

        return build_known

    async def _run_consume_loop(self, consumer: AIOKafkaConsumer) -> None:
        while (error := await _outcome(self.pump.run(consumer))) is not None:
            if isinstance(error, KafkaError):
                said = "the consumer is of no more use; starting a new one"
                log.error(said, error=repr(error))
                await self.reopen()
                return
            self.pump.failing = repr(error)
            log.error("the poll loop broke off and begins again", exc_info=error)
            await asyncio.sleep(FIRST_PAUSE_S)

    async def reopen(self) -> None:
        """Start a consumer, after closing the one before; waits until the brokers let it join."""
        while True:
            if self.consumer is not None:
                await close_consumer(self.consumer)
                self.consumer = None
            try:
                await self.start()
                return
            except KafkaError as error:
                log.warning("cannot join the group yet", error=repr(error), advice=advice(error))
            await asyncio.sleep(RECONNECT_S)


class Intake:
    """Takes records of the request and retry topics and sees each to its end.

    Args:
        handle: what is done with one record; its offset counts as finished when this returns.
    """

    def __init__(
        self,
        settings: Settings,
        handle: Handle,
        limit: Callable[[], int],
        blocked: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._handle = handle
        self._topics = (settings.topics.requests, settings.topics.retry)
        longest_wait_s = max(settings.retry_delays_s, default=0.0)
        self.twins = Twins(settings.kafka_instance, settings.session_timeout_s)
        retry = settings.topics.retry
        self.pump = Pump(self._see, limit, retry, blocked, longest_wait_s, self.twins)
        self.broker = make_broker(settings)
        self._subscriber = _subscribe(self.broker, settings, self.pump)
        self._subscriber(self._enter)

    async def start(self) -> None:
        """Join the group; waits until the brokers let it, or another has taken its place there."""
        await self.broker.connect()
        await self._subscriber.reopen()
        await first_of(self.pump.assignment.joined, self.twins.found)

    async def stop(self) -> None:
        """Leave the group (a static member stays until it is back) and close everything."""
        await self.pump.stop()
        if self._subscriber.consumer is not None:
            await end_fetching(self._subscriber.consumer)
        await close(self._subscriber)

    @property
    def missing(self) -> list[str]:
        """Topics that the brokers do not know any more, as of the last metadata."""
        consumer = self._subscriber.consumer
        return [t for t in self._topics if consumer and not consumer.partitions_for_topic(t)]

    @property
    def ended(self) -> bool:
        """True when nobody polls any more although nobody stopped it."""
        return self._subscriber.running and not any(not t.done() for t in self._subscriber.tasks)

    async def _enter(self, _: object) -> None:
        """FastStream's handler: the innermost of its layers."""
        delivery = _DELIVERY.get()
        delivery.entered = True
        delivery.verdict = await self._handle(delivery.record)

    async def _see(self, raw: RawRecord, record: Record) -> None:
        """One record, to its end.

        The first try goes through FastStream. Whatever its layers do (a header that its parser
        does not like), the record itself is still handled.
        """
        delivery = _Delivery(record)
        _DELIVERY.set(delivery)
        try:
            await self._through(raw, delivery)
        except asyncio.CancelledError:
            if delivery.verdict is None:  # else it had just ended
                raise

    async def _through(self, raw: RawRecord, delivery: _Delivery) -> None:
        record = delivery.record
        error = await _outcome(self._subscriber.process_message(raw))
        delivery.let_go()
        if not delivery.entered:
            log.warning("a record came past FastStream's layers", record=repr(record), error=error)
            error = await _outcome(self._enter(None))
        pauses = growing(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while delivery.verdict is None:
            log.error("a job broke off and is tried again", record=repr(record), exc_info=error)
            await asyncio.sleep(next(pauses))
            error = await _outcome(self._enter(None))


async def _outcome(work: Awaitable[Any]) -> BaseException | None:
    """Wait for work in a task of its own and return what it raised; a cancellation goes in."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    return None if task.cancelled() else task.exception()


def _subscribe(broker: KafkaBroker, settings: Settings, pump: Pump) -> JobSubscriber:
    subscriber: Any = broker.subscriber(
        settings.topics.requests,
        settings.topics.retry,
        group_id=settings.kafka_group,
        group_instance_id=settings.kafka_instance,
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # what a transaction took back was never asked
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,  # a header `reply_to` of upstream must not make us produce there
        listener=pump.assignment,
        parser=_parse,
        decoder=_decode,
        partition_assignment_strategy=(StickyByTopic,),
        session_timeout_ms=round(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=round(settings.heartbeat_s * 1000),
        rebalance_timeout_ms=round(settings.rebalance_timeout_s * 1000),
        max_poll_interval_ms=round(settings.max_poll_interval_s * 1000),
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    subscriber.__class__ = JobSubscriber  # FastStream has no other door for a class of one's own
    subscriber.pump = pump
    assert isinstance(subscriber, JobSubscriber)
    return subscriber


async def _parse(raw: RawRecord, original: Any) -> KafkaMessage:
    """FastStream's parser, given headers that it can decode."""
    headers = tuple((n, (v or b"").decode("utf-8", "replace").encode()) for n, v in raw.headers)
    message: KafkaMessage = await original(replace(raw, headers=headers))
    _DELIVERY.get().message = message
    return message


async def _decode(message: KafkaMessage) -> KafkaMessage:
    """Nothing is decoded here: FastStream would swallow what it cannot read."""
    return message
