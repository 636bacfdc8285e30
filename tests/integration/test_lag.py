"""What waits is measured, and brokers that do not answer are missed."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError

from consumer.kafka import broker, lag, request_timeout
from consumer.kafka.connecting import close_consumer
from consumer.kafka.lag import LagWatch, measure
from consumer.kafka.membership import ask_of_topics
from consumer.metrics import BROKERS_UP
from consumer.state import State
from tests.integration.lab import PATIENCE_S, Lab, Work, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.kafka import ApacheKafka


@pytest.mark.chaos
@pytest.mark.parametrize("hangs", [False, True])
async def test_brokers_that_go_away_under_an_idle_replica_are_said_until_they_are_back(
    own_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """It called itself ready, a member with no lag, for as long as they were away."""
    monkeypatch.setattr(request_timeout, "ANSWER_S", 1.0)
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics()
    lab, state = Lab(handle), State("a group")
    state.phase, state.processing = "running", SimpleNamespace(why_not_ready=lambda: None)  # type: ignore[assignment]

    async def ready() -> bool:
        return state.ready() is None and BROKERS_UP._value.get() == 1

    async def missed() -> bool:
        said = (state.ready() or "").startswith("the brokers do not answer: ")
        return said and BROKERS_UP._value.get() == 0

    async with lab.intake(Work()) as state.intake:
        state.brokers = LagWatch(state.intake.pump.assignment, every_s=0.1)
        watching = asyncio.create_task(state.brokers.run())
        await until(ready)
        os.kill(own_kafka.process.pid, signal.SIGSTOP if hangs else signal.SIGKILL)
        await until(missed)
        if hangs:
            os.kill(own_kafka.process.pid, signal.SIGCONT)
        else:
            own_kafka.kill()
            await asyncio.to_thread(own_kafka.start)
        await until(ready)
        watching.cancel()


async def test_who_leads_is_asked_anew_when_a_leader_does_not_answer(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hanging broker had led was read from its successors only a minute later."""
    monkeypatch.setattr(broker, "METADATA_MS", 600_000)
    async with lab.intake(Work()) as intake:
        assert intake.pump.assignment.consumer is not None
        cluster = intake.pump.assignment.consumer._client.cluster
        before = cluster._last_successful_refresh_ms
        monkeypatch.setattr(lag, "measure", AsyncMock(side_effect=TimeoutError))
        watch = LagWatch(intake.pump.assignment, every_s=0.1)
        watching = asyncio.create_task(watch.run())

        async def asked() -> bool:
            return bool(cluster._last_successful_refresh_ms > before)

        await until(asked, 60.0)
        assert (watch.trouble or "").startswith("time-out")
        watching.cancel()


async def test_records_behind_an_open_transaction_are_lag(lab: Lab) -> None:
    from confluent_kafka import Producer

    lab.kafka.require(Can.GROUPS)
    producer = Producer(
        {"bootstrap.servers": lab.kafka.servers, "transactional.id": lab.topics.requests}
    )
    producer.init_transactions(PATIENCE_S)
    producer.begin_transaction()
    producer.produce(lab.topics.requests, job(), partition=0)
    producer.flush(PATIENCE_S)
    await lab.send([{"value": job()}] * 3)
    work = Work()
    async with lab.intake(work) as intake:

        async def waiting(records: int) -> bool:
            return await measure(intake.pump.assignment) == records

        await until(lambda: waiting(4))
        producer.commit_transaction(PATIENCE_S)
        await until(lambda: waiting(0))
    assert len(work.finished) == 4


async def test_a_replica_without_partitions_asks_of_its_own_topics_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read of all topics of shared brokers held up everything else for half a second."""
    asked: list[set[str]] = []
    update = AIOKafkaClient._metadata_update

    async def noted(client: AIOKafkaClient, cluster: ClusterMetadata, topics: set[str]) -> bool:
        asked.append(set(topics or ()))
        return bool(await update(client, cluster, topics))

    async with lab.intake(Work()) as intake:
        monkeypatch.setattr(intake.pump.assignment, "open", {})
        monkeypatch.setattr(AIOKafkaClient, "_metadata_update", noted)
        assert await measure(intake.pump.assignment) == 0
        monkeypatch.undo()
    own = {lab.topics.requests, lab.topics.retry}
    assert asked
    assert all(each == own for each in asked), asked


@pytest.mark.chaos
async def test_a_replica_without_partitions_misses_its_brokers_too(own_kafka: ApacheKafka) -> None:
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics()
    reader = AIOKafkaConsumer(handle.topics.requests, bootstrap_servers=handle.servers)
    await reader.start()
    try:
        await ask_of_topics(reader)
        own_kafka.kill()
        with pytest.raises(KafkaError):
            await ask_of_topics(reader)
    finally:
        await close_consumer(reader)
