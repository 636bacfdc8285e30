"""Two replicas that bear one name in the group, on a real broker: one ends, the other works on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import TopicPartition

from consumer.kafka.membership import member_id
from consumer.kafka.subscriber import Intake
from consumer.settings import Settings
from tests.integration.lab import PATIENCE_S, Lab, Work, job
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    kafka.require(Can.GROUPS)
    kafka.create_topics()
    return Lab(kafka)


@pytest.fixture
def pod(lab: Lab) -> Settings:
    """Nobody is a member for a session of this length before a test is over."""
    return lab.settings(KAFKA_GROUP_INSTANCE_ID="pod-0", KAFKA_SESSION_TIMEOUT_S="600")


async def _ends(intake: Intake) -> None:
    await asyncio.wait_for(intake.twins.found.wait(), PATIENCE_S)


async def _works(lab: Lab, work: Work) -> None:
    """A record that is sent now comes to its end here."""
    before = len(work.finished)
    await lab.send([{"value": job()}])
    await work.until(lambda: len(work.finished) > before)


async def test_of_two_that_have_just_come_the_first_ends_and_the_second_works_on(
    lab: Lab, pod: Settings
) -> None:
    first, second = Work(), Work()
    async with lab.intake(first, settings=pod) as one, lab.intake(second, settings=pod) as other:
        await _ends(one)
        await _works(lab, second)
        assert not other.twins.found.is_set()
        assert "'pod-0'" in one.twins.text()
    assert not first.finished


async def test_of_three_that_come_at_once_two_end_and_one_works_on(lab: Lab, pod: Settings) -> None:
    works = [Work() for _ in range(3)]
    async with AsyncExitStack() as stack:
        come = (stack.enter_async_context(lab.intake(work, settings=pod)) for work in works)
        twins = [intake.twins for intake in await asyncio.gather(*come)]
        async with asyncio.timeout(PATIENCE_S):
            while sum(each.found.is_set() for each in twins) < 2:
                await asyncio.sleep(0.05)
        (stays,) = [n for n, each in enumerate(twins) if not each.found.is_set()]
        await _works(lab, works[stays])
        assert not twins[stays].found.is_set()


async def test_one_that_was_there_for_a_session_takes_its_place_back_and_the_newcomer_ends(
    lab: Lab, pod: Settings
) -> None:
    first, second = Work(), Work()
    async with lab.intake(first, settings=pod) as one:
        one.twins._session_s = 0.0  # as if it were over
        async with lab.intake(second, settings=pod) as other:
            await _ends(other)
            await _works(lab, first)
            assert not one.twins.found.is_set()


async def test_one_that_drains_leaves_its_place_to_its_successor_and_ends_its_jobs(
    lab: Lab, pod: Settings
) -> None:
    first, second = Work(), Work()
    await lab.send([{"value": job(gate="open")}])
    async with lab.intake(first, settings=pod) as one:
        one.twins._session_s = 0.0
        await first.until(lambda: len(first.started) == 1)
        draining = asyncio.create_task(one.pump.drain(PATIENCE_S))
        async with lab.intake(second, settings=pod) as other:
            member = other.pump.assignment.member_id
            await _ends(one)
            first.open("open")
            assert await draining == 0
            second.open("open")
            await _works(lab, second)
            assert not other.twins.found.is_set()
            assert other.pump.assignment.member_id == member, "its place was its own all the time"
    assert len(first.finished) == 1


async def test_one_whose_place_is_taken_while_it_joins_finds_that_out_too(
    lab: Lab, pod: Settings
) -> None:
    async with lab.intake(Work(), settings=pod) as one:
        revoked, go = asyncio.Event(), asyncio.Event()
        listener: Any = one.pump.assignment
        ask = listener.on_partitions_revoked

        async def slow(partitions: Iterable[TopicPartition]) -> None:
            await ask(partitions)
            revoked.set()
            await go.wait()

        listener.on_partitions_revoked = slow
        third = asyncio.create_task(
            _until_released(lab, lab.settings(), released := asyncio.Event())
        )
        await asyncio.wait_for(revoked.wait(), PATIENCE_S)  # by the rebalance of the third
        async with lab.intake(Work(), settings=pod) as other:
            go.set()
            await _ends(one)
            assert not other.twins.found.is_set()
            released.set()
            await third


async def _until_released(lab: Lab, settings: Settings, released: asyncio.Event) -> None:
    async with lab.intake(Work(), settings=settings):
        await released.wait()


async def test_one_whose_place_an_operator_removed_takes_nobody_for_a_twin(
    lab: Lab, pod: Settings
) -> None:
    work = Work()
    async with lab.intake(work, settings=pod) as one:
        consumer: Any = one.pump.assignment.consumer
        before = member_id(consumer)
        coordinator = consumer._coordinator
        coordinator._group_instance_id, kept = None, coordinator._group_instance_id
        await coordinator._maybe_leave_group()  # what the tool of the brokers sends
        coordinator._group_instance_id = kept
        await _works(lab, work)
        assert member_id(consumer) != before
        assert not one.twins.found.is_set()
