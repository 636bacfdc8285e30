"""Who listens from now on hears all of it, also where topics get more partitions meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from consumer.kafka import listening
from consumer.kafka.client import connection
from consumer.kafka.connecting import close_consumer
from consumer.kafka.listening import Listening
from tests.integration.lab import Lab
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, until_shown
from tests.support.kafka import KafkaCluster
from tests.support.work import until

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


async def test_a_new_partition_that_nobody_leads_yet_ends_no_wait_and_hides_nothing(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its look-up ended `submit --wait` after ten seconds, whatever its own time was."""
    monkeypatch.setattr(listening, "ANSWER_MS", 1000)
    kafka = KafkaHandle(cluster.name, cluster.servers, cluster.capabilities, "leaderless")
    topic, last = kafka.topics.completed, cluster.nodes[2]
    admin = AdminClient({"bootstrap.servers": cluster.nodes[0].servers, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, replica_assignment=[[1]])])[topic].result(120)
    until_shown(admin, [topic])
    lab = Lab(kafka)
    heard: list[bytes] = []
    async with _listening(lab, topic) as ears:
        grown = NewPartitions(topic, 2, replica_assignment=[[3]])
        admin.create_partitions([grown])[topic].result(120)
        last.kill()
        await until(lambda: _leader(admin, topic, 1) == -1)
        failed = _failures(ears, monkeypatch)

        async def hear() -> None:
            while {b"old", b"new"} - {*heard}:
                heard.extend(record.value for record in await ears.next(100))

        hearing = asyncio.create_task(hear())
        await ears.consumer._client.force_metadata_update()
        await lab.send([{"topic": topic, "value": b"old"}])
        await asyncio.wait_for(failed.wait(), 120)
        last.start()
        await until(lambda: _leader(admin, topic, 1) == 3)
        await lab.send([{"topic": topic, "value": b"new", "partition": 1}])
        await asyncio.wait_for(hearing, 120)
    assert sorted(heard) == [b"new", b"old"]


def _leader(admin: AdminClient, topic: str, partition: int) -> int:
    found = admin.list_topics(topic, timeout=120).topics[topic].partitions
    return int(found[partition].leader) if partition in found else 0


def _failures(ears: Listening, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once a look-up of places has failed."""
    look_up, failed = ears._look_up, asyncio.Event()

    async def told(come: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        try:
            return await look_up(come)
        except KafkaError:
            failed.set()
            raise

    monkeypatch.setattr(ears, "_look_up", told)
    return failed
