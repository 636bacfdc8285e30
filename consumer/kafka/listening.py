"""Hears all that is written to some topics from now on, without a group.

A topic may get more partitions meanwhile. The client then takes a new assignment and begins at the
end of every partition: what was written before that, to an old or a new one, would never be heard.
So places are kept here. Old partitions are read on from theirs, and new ones from their start.

A broker that has just begun, or a right that is taken for a moment, makes a topic go and come back.
Its places are kept, too: from its start, outcomes of long ago would be told to whoever waits now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

LISTEN_TIMEOUT_S = 20.0
ANSWER_MS = 10_000
"""Longest wait for an answer: behind a broker that hangs the next leader's words are not heard."""
METADATA_MS = 60_000
"""New partitions are found so soon."""
ASKED_S = 5.0


class Listening:
    """What is written from now on."""

    def __init__(self, **options: Any) -> None:
        self.consumer = AIOKafkaConsumer(
            **options,
            group_id=None,
            auto_offset_reset="latest",
            enable_auto_commit=False,
            metadata_max_age_ms=METADATA_MS,
            request_timeout_ms=ANSWER_MS,
        )
        self._places: dict[TopicPartition, int] = {}
        """The offset that is heard next, also of partitions that are gone for now."""
        self._heard: Collection[TopicPartition] = ()
        """The assignment whose partitions stand at their places: it and no other that is equal."""

    async def begin(self, topics: Collection[str]) -> None:
        """Fix the end of every partition now: the client would look it up at the first fetch.

        Raises:
            TimeoutError: some topics are not there, or their leaders do not answer.
        """
        consumer = self.consumer
        async with asyncio.timeout(LISTEN_TIMEOUT_S):
            consumer.subscribe(list(topics))
            while {partition.topic for partition in consumer.assignment()} != set(topics):
                await asyncio.sleep(0.05)
            partitions = consumer.assignment()
            await consumer.seek_to_end(*partitions)  # together: one by one takes half a second each
            self._places = {each: await consumer.position(each) for each in partitions}
            self._heard = partitions

    async def next(self, timeout_ms: int) -> list[Any]:
        """Records, in the order of their partitions; none after a while.

        While nobody leads a partition that has come, all that is written waits for its place.

        Raises:
            KafkaError: the client cannot go on.
        """
        try:
            await self._follow()
        except KafkaError as error:
            if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                raise
        found = await self.consumer.getmany(timeout_ms=timeout_ms)
        if self.consumer.assignment() is not self._heard:
            return []  # they may lie behind others that are not read yet, and come again
        for partition, records in found.items():
            self._places[partition] = records[-1].offset + 1
        return [record for records in found.values() for record in records]

    async def _follow(self) -> None:
        """Go to the places of an assignment that is new."""
        assigned = self.consumer.assignment()
        if assigned is self._heard:
            return
        places = {each: self._places[each] for each in assigned if each in self._heard}
        places |= await self._look_up(assigned - set(places))
        if self.consumer.assignment() is not assigned:
            return  # and nothing of it is heard
        for partition, offset in places.items():
            self.consumer.seek(partition, offset)
        self._places |= places
        self._heard = assigned

    async def _look_up(self, come: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Where partitions are heard that have come: on from their place, else from their start.

        By offset: to be asked for the start would lose to a look-up of the end that is under way.
        """
        if not come:
            return {}
        starts = await self.consumer.beginning_offsets(list(come))
        ends = await self.consumer.end_offsets(list(come))
        places = {each: self._places.get(each, -1) for each in come}
        # a place that is not there is of a topic that was removed and made again
        return {p: at if starts[p] <= at <= ends[p] else starts[p] for p, at in places.items()}

    async def why_silent(self) -> str | None:
        """Ask the brokers for something; None when they answer, else why not."""
        try:
            async with asyncio.timeout(ASKED_S):
                await self.consumer.end_offsets(list(self.consumer.assignment()))
        except (KafkaError, TimeoutError) as error:
            return f"the brokers do not answer: {type(error).__name__}"
        return None
