"""Replicas come, go and join while jobs run; brokers restart; no job is lost or started twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.lab import Lab, Work, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


async def test_replicas_that_come_and_go_start_no_running_job_twice_and_lose_none(
    kafka: KafkaHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.require(Can.GROUPS, Can.ADMIN)
    kafka.create_topics({**dict.fromkeys(kafka.topics.all(), 1), kafka.topics.requests: 4})
    lab = Lab(kafka)
    first, second = Work(), Work()
    _check_every_commit(monkeypatch, [first, second])
    count = 40
    await lab.send(
        [{"value": job(seconds=str(0.2 + (n % 5) * 0.4)), "partition": n % 4} for n in range(count)]
    )

    def done() -> set[Any]:
        return set(first.finished) | set(second.finished)

    async with lab.intake(first, limit=4):
        for _ in range(3):
            async with lab.intake(second, limit=4, drain_s=60.0):
                seen = len(second.started)
                await asyncio.wait_for(_grown(second, seen, done, count), 120)
        await first.until(lambda: len(done()) == count)
        for partition in range(4):
            await lab.until_committed(count // 4, partition)
    assert len(done()) == count
    assert len(first.started) == len(set(first.started)), "started twice in one replica"


async def test_a_second_replica_takes_requests_and_not_the_retry_topic_alone(
    kafka: KafkaHandle,
) -> None:
    kafka.require(Can.GROUPS, Can.ADMIN)
    topics = kafka.topics
    kafka.create_topics({**dict.fromkeys(topics.all(), 1), topics.requests: 4, topics.retry: 4})
    lab = Lab(kafka)
    first, second = Work(), Work()
    async with lab.intake(first) as one, lab.intake(second) as two:
        wanted = {topics.requests: 2, topics.retry: 2}

        async def shared() -> bool:
            told = [each.pump.facts()["partitions"] for each in (one, two)]
            return all({t: len(p) for t, p in has.items()} == wanted for has in told)

        await until(shared)
        await lab.send([{"value": job(), "partition": n % 4} for n in range(8)])
        await first.until(lambda: len(first.finished) == 4)
        await second.until(lambda: len(second.finished) == 4)


async def _grown(work: Work, seen: int, done: Any, count: int) -> None:
    while len(work.started) < seen + 2 and len(done()) < count:
        await asyncio.sleep(0.02)


def _check_every_commit(monkeypatch: pytest.MonkeyPatch, works: list[Work]) -> None:
    """Fail a commit that passes a record which no replica has finished."""
    from consumer.kafka.commits import Committer

    send = Committer._send

    async def checked(self: Committer, consumer: Any, offsets: Any) -> bool:
        finished = {place for work in works for place in work.finished}
        for partition, (offset, _) in offsets.items():
            for earlier in range(offset):
                assert (partition.topic, partition.partition, earlier) in finished
        return await send(self, consumer, offsets)

    monkeypatch.setattr(Committer, "_send", checked)


async def test_a_broker_that_restarts_loses_nothing_and_jobs_run_on(own_kafka: Any) -> None:
    kafka = KafkaHandle.fresh(own_kafka)
    kafka.create_topics()
    lab = Lab(kafka)
    work = Work()
    await lab.send([{"value": job(gate="g")}, {"value": job()}])
    async with lab.intake(work):
        await work.until(lambda: len(work.finished) == 1)
        own_kafka.kill()
        work.open("g")  # ends while no broker is there to take its commit
        await work.until(lambda: len(work.finished) == 2)
        own_kafka.start()
        await lab.until_committed(2)
        await lab.send([{"value": job()}])
        await lab.until_committed(3)
    assert [offset for _, _, offset in work.started] == [0, 1, 2]
