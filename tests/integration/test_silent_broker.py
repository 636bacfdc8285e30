"""A broker of several that hangs: it closes no connection, and answers nothing any more."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection

from consumer.http.gateway_hub import Hub
from consumer.kafka import broker, listening, request_timeout
from consumer.kafka.lag import LagWatch
from consumer.kafka.membership import member_id
from consumer.kafka.topics_apply import Change, admin, apply
from schemas.codes import ErrorCode, Stage
from schemas.events import Failed
from schemas.render import ErrorFacts
from tests.integration.lab import Lab, Work, job, until
from tests.support.handles import KafkaHandle
from tests.support.kafka import KafkaCluster

pytestmark = pytest.mark.slow
PARTITIONS = 3


@pytest.mark.parametrize("coordinates", [True, False])
async def test_a_broker_that_hangs_costs_no_place_in_the_group_and_what_it_led_is_read_on(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch, coordinates: bool
) -> None:
    """A replica was thrown out of its group, and read no more for as long as a join may take."""
    monkeypatch.setattr(request_timeout, "ANSWER_S", 1.0)
    monkeypatch.setattr(broker, "METADATA_MS", 600_000)
    kafka = KafkaHandle.fresh(cluster)
    lab, work = Lab(kafka, KAFKA_REBALANCE_TIMEOUT_S="600"), Work()
    wanted = [Change(topic, "create", PARTITIONS) for topic in kafka.topics.all()]
    async with admin(lab.settings()) as client:
        await apply(client, wanted, 3)
    async with lab.intake(work) as intake:
        consumer = intake.pump.assignment.consumer
        assert consumer is not None
        member, coordinator = member_id(consumer), consumer._coordinator.coordinator_id
        hung = coordinator if coordinates else coordinator % len(cluster.nodes) + 1
        watch = LagWatch(intake.pump.assignment, every_s=0.1)
        watching = asyncio.create_task(watch.run())
        await lab.send([{"value": job(), "partition": n} for n in range(PARTITIONS)])
        await work.until(lambda: len(work.finished) == PARTITIONS)
        answering = ",".join(n.servers for at, n in enumerate(cluster.nodes, 1) if at != hung)
        others = Lab(replace(kafka, servers=answering))
        os.kill(cluster.nodes[hung - 1].process.pid, signal.SIGSTOP)
        try:
            await others.send([{"value": job(), "partition": n} for n in range(PARTITIONS)])
            await work.until(lambda: len(work.finished) == 2 * PARTITIONS)
            for partition in range(PARTITIONS):
                await others.until_committed(2, partition)

            async def well() -> bool:
                return watch.trouble is None

            await until(well)
            assert intake.pump.member
            assert member_id(consumer) == member
        finally:
            os.kill(cluster.nodes[hung - 1].process.pid, signal.SIGCONT)
            watching.cancel()


async def test_a_gateway_hears_from_its_successor_what_a_broker_led_that_hangs(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was deaf to it for as long as its client waits for an answer, and for a connection."""
    monkeypatch.setattr(request_timeout, "ANSWER_S", 1.0)
    monkeypatch.setattr(listening, "ANSWER_MS", 1_000)
    monkeypatch.setattr(listening, "METADATA_MS", 600_000)
    kafka = KafkaHandle.fresh(cluster)
    lab, topic = Lab(kafka), kafka.topics.failed
    async with admin(lab.settings()) as client:
        wanted = [Change(each, "create", PARTITIONS) for each in kafka.topics.all()]
        await apply(client, wanted, 3)
    hub = Hub(lab.settings())
    hearing = asyncio.create_task(hub.run())
    assert await hub.wait_connected(120)
    assert hub._listener is not None
    hung = hub._listener.consumer._client.cluster.leader_for_partition(TopicPartition(topic, 0))
    answering = ",".join(n.servers for at, n in enumerate(cluster.nodes, 1) if at != hung)
    error = ErrorFacts(code=ErrorCode.NO_FACE, stage=Stage.TRACK, message="no", retryable=False)
    said = Failed(
        job_id="j", error=error, attempt=1, max_attempts=3, failed_at=datetime.now(UTC)
    ).model_dump_json()
    os.kill(cluster.nodes[hung - 1].process.pid, signal.SIGSTOP)
    try:
        others = Lab(replace(kafka, servers=answering))
        await others.send([{"value": said.encode(), "topic": topic, "partition": 0}])

        async def heard() -> bool:
            return hub.last("j") is not None

        await until(heard)
        assert hub.connected
    finally:
        os.kill(cluster.nodes[hung - 1].process.pid, signal.SIGCONT)
        hearing.cancel()
        await asyncio.wait((hearing,))


def test_what_the_brokers_may_hold_back_is_waited_for_as_before() -> None:
    request_timeout.expect_answers()
    request_timeout.expect_answers()
    assert AIOKafkaConnection.send is request_timeout._send_briefly
    names = {request.__name__ for request in request_timeout._SMALL}
    assert names.isdisjoint({"JoinGroupRequest", "SyncGroupRequest", "FetchRequest"})
