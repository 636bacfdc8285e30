"""What the design rests on, of aiokafka and of Kafka. Should one of these change, look here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumer.kafka.membership import member_id, read_commits
from tests.integration.lab import Lab, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.processes import wait_until


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    kafka.require(Can.GROUPS, Can.ADMIN)
    kafka.create_topics({kafka.topics.requests: 2})
    return Lab(kafka)


@asynccontextmanager
async def _member(lab: Lab, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    quick = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 300, **options}
    consumer = AIOKafkaConsumer(
        lab.topics.requests,
        bootstrap_servers=lab.kafka.servers,
        group_id=lab.kafka.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **quick,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _poll(consumer: AIOKafkaConsumer, got: list[Any]) -> None:
    while True:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            got += records


async def test_a_rebalance_forgets_pauses_and_rewinds_to_the_commit(lab: Lab) -> None:
    await lab.send([{"value": job(), "partition": p} for p in (0, 1)])
    async with _member(lab) as first:
        got = [await first.getone(), await first.getone()]
        assert [record.offset for record in got] == [0, 0]
        first.pause(*first.assignment())
        again: list[Any] = []
        polling = asyncio.create_task(_poll(first, again))
        async with _member(lab):

            async def shared() -> bool:
                return len(first.assignment()) == 1 and bool(again)

            await until(shared)
            assert first.paused() == set()
        assert again[0].offset == 0
        polling.cancel()
        await asyncio.wait((polling,))


async def test_no_poll_for_too_long_leaves_the_group_and_polling_paused_partitions_stays(
    lab: Lab,
) -> None:
    async with _member(lab, max_poll_interval_ms=3000) as consumer:
        before = member_id(consumer)
        consumer.pause(*consumer.assignment())
        for _ in range(70):
            await consumer.getmany(timeout_ms=100)
        assert member_id(consumer) == before, "7 s of polling what is paused"

        async def out() -> bool:
            return member_id(consumer) == ""

        await until(out)  # no poll


async def test_an_event_loop_that_stands_still_is_out_of_the_group(lab: Lab) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": lab.kafka.servers})

    def members() -> set[str]:
        (future,) = admin.describe_consumer_groups([lab.kafka.group]).values()
        return {member.member_id for member in future.result(120).members}

    async with _member(lab, session_timeout_ms=3000) as consumer:
        before = member_id(consumer)
        assert await asyncio.to_thread(members) == {before}
        wait_until(lambda: not members(), 120, "the end of the membership")  # blocks the loop

        async def back() -> bool:
            return member_id(consumer) not in ("", before)

        await until(back)


async def test_commits_carry_4096_bytes_of_metadata_and_a_zombies_commit_is_refused(
    lab: Lab,
) -> None:
    from aiokafka.errors import CommitFailedError

    place = TopicPartition(lab.topics.requests, 0)
    text = "x" * 4096
    async with _member(lab) as consumer:
        await consumer.commit({place: (3, text)})
        assert (await read_commits(consumer, [place]))[place][:2] == (3, text)
        coordinator: Any = consumer._coordinator
        coordinator.generation += 7
        with pytest.raises(CommitFailedError):
            await consumer.commit({place: (77, "")})
    assert (await lab.committed())[0] == 3
