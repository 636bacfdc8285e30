"""Which records a replay takes, and how they are read: up to what was there at its start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumer.jobs import Record
from consumer.kafka.client import connection
from consumer.kafka.connecting import ClientFailed, close_consumer, reach
from consumer.kafka.decompression import BatchTooLarge
from consumer.kafka.delivery import to_record
from consumer.kafka.membership import check_reading, know_topic
from consumer.kafka.polling import step_over
from consumer.settings import Settings

TIMES_TIMEOUT_S = 10.0
POLL_MS = 500
ANSWER_S = 30.0
"""Longer than a partition takes to change its leader."""
SMALL_LOG = 10_000
"""Records that are rather read than trusted to a look-up by time that found nothing."""


class ReplayError(ValueError):
    """A selection that cannot work; the text names the value and what to do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records, and what is wanted of them."""

    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    """Exclusive."""
    from_time: datetime | None = None
    to_time: datetime | None = None
    """Aware, exclusive; compared with the time stamps of the records."""
    key: bytes | None = None
    job_id: str | None = None
    dead_letters: bool = False
    """Take the records of the dead-letter topic instead of the request topic."""
    only_failed: bool = False
    rerender: bool = False

    def check(self) -> None:
        """Raise ReplayError for what selects nothing by mistake."""
        offsets = (self.from_offset, self.to_offset)
        if any(offset is not None for offset in offsets) and self.partition is None:
            raise ReplayError("offsets are per partition: name the partition too")
        if any(offset is not None and offset < 0 for offset in offsets):
            raise ReplayError(f"offsets must be 0 or more, not {offsets[0]} to {offsets[1]}")
        for time in (self.from_time, self.to_time):
            if time is not None and time.tzinfo is None:
                raise ReplayError(f"time {time.isoformat()} has no zone; add Z or +hh:mm")
        ranges = ((self.from_offset, self.to_offset), (self.from_time, self.to_time))
        for start, end in ranges:
            if start is not None and end is not None and _not_before(start, end):
                raise ReplayError(f"the range from {start} to {end} (exclusive) is empty")

    def takes(self, record: Record) -> bool:
        """True for a record in the range, of the key."""
        at, offset = record.sent_at, record.offset
        return not (
            (self.from_offset is not None and offset < self.from_offset)
            or (self.to_offset is not None and offset >= self.to_offset)
            or (self.from_time is not None and at < self.from_time)
            or (self.to_time is not None and at >= self.to_time)
            or (self.key is not None and record.key != self.key)
        )


def _not_before(start: Any, end: Any) -> bool:
    return bool(start >= end)


async def records(settings: Settings, selection: Selection) -> AsyncIterator[Record]:
    """The selected records, partition by partition, up to what was there at the start.

    Raises:
        ReplayError: the topic or the partition does not exist.
        ClientFailed: the brokers do not answer.
    """
    topic = settings.topics.dlq if selection.dead_letters else settings.topics.requests
    async with _reader(settings, topic) as reader:
        partitions = sorted(await know_topic(reader, topic))
        if selection.partition is not None:
            if selection.partition not in partitions:
                raise ReplayError(f"topic {topic} has no partition {selection.partition}")
            partitions = [selection.partition]
        places = [TopicPartition(topic, number) for number in partitions]
        reader.assign(places)
        ends = await reader.end_offsets(places)
        starts = await reader.beginning_offsets(places)
        for place in places:
            start = await _start(reader, place, selection, starts[place], ends[place])
            stop = ends[place]
            if selection.to_offset is not None:
                stop = min(stop, selection.to_offset)
            async for record in _range(reader, place, start, stop):
                if selection.takes(record):
                    yield record


async def _range(
    reader: AIOKafkaConsumer, place: TopicPartition, start: int, stop: int
) -> AsyncIterator[Record]:
    others = [other for other in reader.assignment() if other != place]
    if others:
        reader.pause(*others)
    reader.resume(place)
    reader.seek(place, start)
    while await reader.position(place) < stop:
        check_reading(reader)
        try:
            found = await reader.getmany(place, timeout_ms=POLL_MS)
        except BatchTooLarge as error:
            raw = step_over(reader, place, error)
            found = {place: [raw]} if raw is not None else {}
        if not found:
            await _ask(reader, place)
        for raw in found.get(place, ()):
            if raw.offset >= stop:
                return
            yield to_record(raw)


async def _ask(reader: AIOKafkaConsumer, place: TopicPartition) -> None:
    """Make sure that brokers which bring nothing are there: the client waits for them in silence.

    Raises:
        ClientFailed: they are not.
    """
    try:
        await asyncio.wait_for(reader.end_offsets([place]), ANSWER_S)
    except (KafkaError, TimeoutError) as error:
        said = (
            f"the brokers do not answer any more for partition {place.partition} of {place.topic}"
        )
        raise ClientFailed(f"{said} ({type(error).__name__}); to begin anew is safe") from error


async def _start(
    reader: AIOKafkaConsumer, place: TopicPartition, selection: Selection, begin: int, end: int
) -> int:
    if selection.from_offset is not None:
        return max(begin, selection.from_offset)
    if selection.from_time is None:
        return begin
    try:
        wanted = {place: max(0, round(selection.from_time.timestamp() * 1000))}
        found = (await asyncio.wait_for(reader.offsets_for_times(wanted), TIMES_TIMEOUT_S))[place]
    except (KafkaError, TimeoutError):
        return begin  # a broker without look-up by time: read all, compare time stamps
    if found is not None:
        return max(begin, int(found.offset))
    return begin if end - begin <= SMALL_LOG else end


@asynccontextmanager
async def _reader(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    options: dict[str, Any] = connection(settings)
    options |= {"group_id": None, "enable_auto_commit": False}
    options["isolation_level"] = "read_committed"  # what a transaction took back was never asked
    # where the topic gives up records meanwhile, those that it still has; not its end, the default
    options["auto_offset_reset"] = "earliest"
    reader = AIOKafkaConsumer(**options)
    try:
        await reach(settings, reader.start())
        if topic not in await reader.topics():
            raise ReplayError(f"topic {topic} does not exist; run `face2face topics apply`")
        yield reader
    finally:
        await close_consumer(reader)
