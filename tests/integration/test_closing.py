"""A consumer is closed whatever its brokers do, and whoever closes it goes on."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumer.kafka import pump
from consumer.kafka.client import connect
from consumer.kafka.connecting import close_consumer
from schemas.request import RenderRequest
from tests.integration.lab import Lab, Work, job
from tests.support.handles import KafkaHandle
from tests.support.kafka import ApacheKafka


@pytest.mark.chaos
async def test_closing_while_the_brokers_are_away_does_not_look_like_a_cancellation(
    own_kafka: ApacheKafka,
) -> None:
    """aiokafka raised CancelledError: readers of cancels, gateways and poll loops ended by it."""
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics()
    consumer = AIOKafkaConsumer(handle.topics.requests, bootstrap_servers=handle.servers)
    await consumer.start()
    async with asyncio.timeout(120):
        await _until(consumer, "AIOKafkaClient.send")
        own_kafka.kill()
        await _until(consumer, "sleep")  # a fetch that failed waits for its next try
        await close_consumer(consumer)
    assert not any(each.connected() for each in consumer._client._conns.values())


@pytest.mark.chaos
async def test_a_replica_leaves_in_order_while_the_brokers_are_away(
    own_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "UNWIND_S", 1.0)
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics()
    async with asyncio.timeout(120):
        async with Lab(handle).intake(Work()) as intake:
            consumer = intake.pump.assignment.consumer
            await _until(consumer, "AIOKafkaClient.send")
            own_kafka.kill()
            await _until(consumer, "sleep")
        assert not intake.ended


@pytest.mark.chaos
async def test_closing_while_the_brokers_hang_keeps_no_connection(own_kafka: ApacheKafka) -> None:
    """Its farewell was given up, and its connections and the task that asks of topics stayed."""
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics()
    consumer = AIOKafkaConsumer(
        handle.topics.requests, bootstrap_servers=handle.servers, group_id="a-group"
    )
    await consumer.start()
    async with asyncio.timeout(120):
        await _until(consumer, "AIOKafkaClient.send")
        os.kill(own_kafka.process.pid, signal.SIGSTOP)
        try:
            await close_consumer(consumer)
        finally:
            os.kill(own_kafka.process.pid, signal.SIGCONT)
    assert not any(each.connected() for each in consumer._client._conns.values())
    assert consumer._client._sync_task is None


@pytest.mark.chaos
async def test_a_command_ends_while_the_brokers_hang_that_it_sends_to(
    own_kafka: ApacheKafka,
) -> None:
    """It waited for what it had sent to be taken, for ever, also after Ctrl-C."""
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics()
    request = RenderRequest.model_validate_json(job())
    async with asyncio.timeout(120):
        try:
            async with connect(Lab(handle).settings()) as client:
                await client.submit(request)
                os.kill(own_kafka.process.pid, signal.SIGSTOP)
                sending = asyncio.create_task(client.submit(request))
                await asyncio.wait((sending,), timeout=0.1)
                sending.cancel()
        finally:
            os.kill(own_kafka.process.pid, signal.SIGCONT)


async def test_closing_in_the_midst_of_a_rebalance_comes_to_its_end(lab: Lab) -> None:
    """The client took the cancellation for that of a fetch which it had just cancelled itself."""
    places = [TopicPartition(lab.topics.requests, n) for n in range(2)]
    consumer = AIOKafkaConsumer(bootstrap_servers=lab.kafka.servers)
    await consumer.start()
    consumer.assign(places[:1])
    fetcher = consumer._fetcher
    async with asyncio.timeout(120):
        await _until(consumer, "AIOKafkaClient.send")
        consumer.assign(places[1:])
        while fetcher._fetch_task._fut_waiter not in fetcher._pending_tasks:
            await asyncio.sleep(0)
        await close_consumer(consumer)
    assert all(task.done() for task in fetcher._pending_tasks)


async def _until(consumer: AIOKafkaConsumer, waits_for: str) -> None:
    """Wait until something that is fetched waits for a coroutine of that name."""

    def name(task: asyncio.Task[bool]) -> str:
        inner = getattr(task.get_coro(), "cr_await", None)
        return str(getattr(inner, "__qualname__", ""))

    while waits_for not in map(name, consumer._fetcher._pending_tasks):
        await asyncio.sleep(0.001)
