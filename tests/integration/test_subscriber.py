"""The long-job subscriber on a real broker: what it starts, commits and outlives."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import TopicAuthorizationFailedError
from structlog.testing import capture_logs

from consumer import metrics
from consumer.kafka import subscriber
from consumer.kafka.polling import Poller
from consumer.state import State
from tests.integration.lab import PATIENCE_S, Lab, Work, break_fetching, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


async def test_no_more_jobs_run_than_the_limit_and_all_run(lab: Lab) -> None:
    work = Work()
    places = await lab.send([{"value": job(seconds="0.02")} for _ in range(40)])
    async with lab.intake(work, limit=3):
        await work.until(lambda: len(work.finished) == 40)
        await lab.until_committed(40)
    assert work.most_running == 3
    assert sorted(work.started) == places


async def test_records_that_wait_for_another_replica_take_no_place_and_hold_up_no_drain(
    lab: Lab,
) -> None:
    work = Work()
    waiting = [{"value": job(elsewhere="yes")} for _ in range(3)]
    await lab.send([*waiting, {"value": job()}, {"value": job()}])
    async with lab.intake(work, limit=1, drain_s=PATIENCE_S) as intake:
        await work.until(lambda: len(work.finished) == 2)
        assert intake.pump.facts()["elsewhere"] == 3
        assert await asyncio.wait_for(intake.pump.drain(PATIENCE_S), PATIENCE_S / 2) == 0
    assert (await lab.committed())[0] == 0, "they come again"


async def test_a_drain_that_is_told_to_hurry_waits_for_no_job_and_commits_what_has_ended(
    lab: Lab,
) -> None:
    work, hurry = Work(), asyncio.Event()
    await lab.send([{"value": job()}, {"value": job(gate="never")}])
    async with lab.intake(work) as intake:
        await work.until(lambda: len(work.finished) == 1 and len(work.started) == 2)
        draining = asyncio.create_task(intake.pump.drain(10 * PATIENCE_S, hurry))
        done, _ = await asyncio.wait((draining,), timeout=0.2)
        assert not done, "the job has its grace"
        hurry.set()
        assert await asyncio.wait_for(draining, PATIENCE_S) == 1
    assert (await lab.committed())[0] == 1


async def test_those_that_wait_for_another_replica_have_a_limit_too(lab: Lab) -> None:
    work = Work()
    await lab.send([{"value": job(elsewhere="yes")} for _ in range(9)])
    async with lab.intake(work, limit=2) as intake:
        consumer: Any = intake.pump.assignment.consumer

        async def paused() -> bool:
            return bool(consumer.paused() == consumer.assignment())

        await work.until(lambda: len(work.started) == 8)
        await until(paused)
        assert (len(work.started), intake.pump.running) == (8, 8)


async def test_finished_jobs_above_an_unfinished_one_are_committed_in_the_metadata(
    lab: Lab,
) -> None:
    work = Work()
    await lab.send([{"value": job(gate="first")}, {"value": job()}, {"value": job()}])
    async with lab.intake(work) as intake:
        await work.until(lambda: len(work.finished) == 2)

        async def packed() -> bool:
            return list((await lab.committed())[1]) == [(1, 3)]

        await until(packed)
        assert (await lab.committed())[0] == 0
        assert intake.pump.running == 1
    again = Work()
    again.open("first")
    async with lab.intake(again):
        await lab.until_committed(3)
    assert [offset for _, _, offset in again.started] == [0]


async def test_a_job_given_up_at_the_end_of_the_grace_comes_again(lab: Lab) -> None:
    work = Work()
    await lab.send([{"value": job(gate="never")}, {"value": job()}])
    async with lab.intake(work, drain_s=0.2):
        await work.until(lambda: len(work.finished) == 1)
    assert [offset for _, _, offset in work.finished] == [1]
    again = Work()
    again.open("never")
    async with lab.intake(again):
        await lab.until_committed(2)
    assert [offset for _, _, offset in again.started] == [0]


async def test_a_drain_lets_jobs_end_and_commits_them_before_it_leaves(lab: Lab) -> None:
    work = Work()
    await lab.send([{"value": job(seconds="0.5")}, {"value": job(seconds="0.3")}])
    async with lab.intake(work, drain_s=60.0) as intake:
        await work.until(lambda: len(work.started) == 2)
        metrics.DRAINING.set(0)
    assert intake.pump.facts()["intake"] == "draining"
    assert len(work.finished) == 2
    assert metrics.DRAINING._value.get() == 1
    assert (await lab.committed())[0] == 2


@pytest.mark.parametrize("error", [ValueError("unheard of"), TopicAuthorizationFailedError("t")])
async def test_a_poll_that_fails_is_said_keeps_from_readiness_and_is_made_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ask, mended = Poller.next, asyncio.Event()

    async def next_or_fail(self: Poller, consumer: Any) -> Any:
        if not mended.is_set():
            raise error
        return await ask(self, consumer)

    monkeypatch.setattr(Poller, "next", next_or_fail)

    async def unready() -> bool:
        return state.ready() == f"the topics cannot be read: {error!r}"

    work, state = Work(), State("a group")
    state.phase, state.processing = "running", SimpleNamespace(why_not_ready=lambda: None)  # type: ignore[assignment]
    await lab.send([{"value": job()}])
    with capture_logs() as said:
        async with lab.intake(work) as state.intake:
            await until(unready)
            mended.set()
            await lab.until_committed(1)
            assert state.ready() is None
    told = {"cannot poll now", "the poll loop broke off and begins again"}
    assert [line for line in said if line["event"] in told]


async def test_a_client_that_fetches_no_more_is_replaced(lab: Lab) -> None:
    """It stayed a member that was called ready, held its partitions, and read nothing any more."""
    work = Work()
    await lab.send([{"value": job()}])
    async with lab.intake(work) as intake:
        await lab.until_committed(1)
        consumer: Any = intake.pump.assignment.consumer
        break_fetching(consumer)

        async def replaced() -> bool:
            return intake.pump.assignment.consumer is not consumer

        await until(replaced)
        assert not any(each.connected() for each in consumer._client._conns.values())
        await lab.send([{"value": job()}])
        await lab.until_committed(2)
    assert len(work.finished) == 2


@pytest.mark.parametrize("why", ["intake pauses", "the partition goes"])
async def test_a_record_that_comes_while_its_partition_closes_comes_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """A poll may have it in hand already; it would be passed over until the next rebalance."""
    ask, came, work = Poller.next, list[int](), Work()

    async def next_and_close(self: Poller, consumer: Any) -> Any:
        raw = await ask(self, consumer)
        if raw is None or came:
            return raw
        came.append(raw.offset)
        if why == "intake pauses":
            intake.pump._reason = why  # until the loop's next turn
        else:
            gone = dict(intake.pump.assignment.open)
            intake.pump.assignment.open.clear()
            asyncio.get_running_loop().call_soon(intake.pump.assignment.open.update, gone)
        return raw

    monkeypatch.setattr(Poller, "next", next_and_close)
    async with lab.intake(work) as intake:
        places = await lab.send([{"value": job()}] * 3)
        await lab.until_committed(3)
    assert came == [0]
    assert work.started == places


async def test_a_record_that_faststream_cannot_take_is_handled_all_the_same(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a header that no parser likes")

    monkeypatch.setattr(subscriber, "_parse", fail)
    work = Work()
    await lab.send([{"value": job()}, {"value": b"poison"}])
    async with lab.intake(work):
        await lab.until_committed(2)
    assert (len(work.finished), len(work.rejected)) == (1, 1)


async def test_intake_pauses_for_a_reason_and_goes_on_after_it(lab: Lab) -> None:
    reason: str | None = "the disk is nearly full"
    turns, work = 0, Work()

    def blocked() -> str | None:
        nonlocal turns
        turns += 1
        return reason

    async def joined() -> bool:
        return intake.pump.member

    async def polled() -> bool:
        return turns >= before + 3

    await lab.send([{"value": job()}])
    async with lab.intake(work, blocked=blocked) as intake:
        await until(joined)
        before = turns
        await until(polled)
        assert work.started == []
        assert intake.pump.facts()["intake"] == reason
        reason = None
        await lab.until_committed(1)


async def test_a_join_waits_for_no_job_though_they_last_longer_than_a_rebalance_may(
    kafka: KafkaHandle,
) -> None:
    kafka.require(Can.GROUPS, Can.ADMIN)
    kafka.create_topics({**dict.fromkeys(kafka.topics.all(), 1), kafka.topics.requests: 4})
    lab = Lab(kafka, KAFKA_REBALANCE_TIMEOUT_S="6")
    first, second = Work(), Work()
    places = await lab.send([{"value": job(gate="end"), "partition": p} for p in range(4)])
    async with lab.intake(first, drain_s=60.0) as old:
        await first.until(lambda: len(first.started) == 4)
        before = old.pump.assignment.member_id
        async with lab.intake(second, drain_s=60.0):
            await second.until(lambda: bool(second.started))  # a job whose partition moved
            assert first.running == 4
            await old.pump.assignment.joined.wait()
            assert old.pump.assignment.member_id == before, "it never left its group"
            first.open("end")
            second.open("end")
            for partition in range(4):
                await lab.until_committed(1, partition)
    assert sorted(first.started) == places


async def test_a_record_that_is_done_holds_no_memory_until_some_collection_of_garbage(
    lab: Lab,
) -> None:
    work = Work()
    large = b"x" * 900_000
    async with lab.intake(work):
        gc.collect()
        gc.disable()
        try:
            await lab.send([{"value": large}, {"value": large}])
            await lab.until_committed(2)
            held = [o for o in gc.get_objects() if type(o) is ConsumerRecord]
        finally:
            gc.enable()
        assert [record.offset for record in held if record.value == large] == []


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
