"""Who listens from now on hears all of it, also where topics get more partitions meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from consumer.kafka import listening
from consumer.kafka.client import connection
from consumer.kafka.connecting import close_consumer
from consumer.kafka.listening import Listening
from tests.integration.lab import Lab
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle

ROUNDS = 40


@asynccontextmanager
async def _listening(lab: Lab, topic: str) -> AsyncIterator[Listening]:
    made = Listening(**connection(lab.settings()))
    await made.consumer.start()
    try:
        await made.begin([topic])
        yield made
    finally:
        await close_consumer(made.consumer)


async def test_what_is_written_while_a_topic_grows_is_heard_once_each(
    kafka: KafkaHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes on a new partition were heard by nobody for minutes, and some of the old ones."""
    kafka.require(Can.ADMIN)
    monkeypatch.setattr(listening, "METADATA_MS", 300)
    topic = kafka.topics.completed
    kafka.create_topics({topic: 1})
    lab = Lab(kafka)
    await lab.send([{"topic": topic, "value": b"before"}])
    heard: list[bytes] = []
    wanted = {b"new", *(b"old-%d" % n for n in range(ROUNDS))}
    async with _listening(lab, topic) as ears:

        async def hear() -> None:
            while not wanted <= set(heard):
                heard.extend(record.value for record in await ears.next(100))

        hearing = asyncio.create_task(hear())
        admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
        admin.create_partitions([NewPartitions(topic, 2)])[topic].result(120)
        await lab.send([{"topic": topic, "value": b"new", "partition": 1}])
        for number in range(ROUNDS):
            await lab.send([{"topic": topic, "value": b"old-%d" % number}])
        await asyncio.wait_for(hearing, 120)
    assert sorted(heard) == sorted(wanted), "nothing of before, and nothing twice"


async def test_a_topic_that_is_not_named_for_a_moment_is_heard_on_and_not_again(
    kafka: KafkaHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its oldest outcomes would be taken for those of jobs that are waited for now."""
    topic = kafka.topics.completed
    kafka.create_topics({topic: 1})
    lab = Lab(kafka)
    await lab.send([{"topic": topic, "value": b"before"}])
    heard: list[bytes] = []
    async with _listening(lab, topic) as ears:
        client = ears.consumer._client

        async def hear_until(last: bytes) -> None:
            async with asyncio.timeout(120):
                while last not in heard:
                    heard.extend(record.value for record in await ears.next(100))

        await lab.send([{"topic": topic, "value": b"first"}])
        await hear_until(b"first")
        for noticed in (False, True):
            with monkeypatch.context() as brokers:
                brokers.setattr(client.cluster, "partitions_for_topic", lambda _: None)
                await client.force_metadata_update()
                assert not ears.consumer.assignment()
                if noticed:
                    assert await ears.next(0) == []
            value = b"noticed" if noticed else b"unnoticed"
            await lab.send([{"topic": topic, "value": value}])
            await client.force_metadata_update()
            await hear_until(value)
    assert heard == [b"first", b"unnoticed", b"noticed"]


async def test_a_topic_that_is_removed_and_made_again_is_heard_from_its_start(
    kafka: KafkaHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.require(Can.ADMIN)
    monkeypatch.setattr(listening, "METADATA_MS", 300)
    topic = kafka.topics.completed
    kafka.create_topics({topic: 1})
    lab = Lab(kafka)
    await lab.send([{"topic": topic, "value": b"before-%d" % number} for number in range(5)])
    async with _listening(lab, topic) as ears, asyncio.timeout(120):
        await asyncio.to_thread(kafka.delete_topics)
        while ears.consumer.assignment():
            assert await ears.next(100) == []
        assert await ears.next(0) == []
        await asyncio.to_thread(kafka.create_topics, {topic: 1})
        await lab.send([{"topic": topic, "value": b"after"}])
        heard: list[bytes] = []
        while not heard:
            heard = [record.value for record in await ears.next(100)]
    assert heard == [b"after"]
