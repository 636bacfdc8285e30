"""A cancel reaches its job wherever it is, and no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.kafka.control import Cancellations, ControlReader
from consumer.state import State
from tests.integration.lab import Lab, Work, break_fetching, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


def _cancel(job_id: str) -> bytes:
    return json.dumps({"job_id": job_id, "action": "cancel"}).encode()


async def test_a_cancel_reaches_waiting_and_running_jobs(lab: Lab) -> None:
    run, wait = (
        json.dumps({**json.loads(job(gate="never")), "job_id": name}).encode()
        for name in ("runs", "waits")
    )
    work = Work()
    await lab.send([{"value": run}, {"value": wait}])
    async with lab.intake(work, limit=1, control=True):
        await work.until(lambda: len(work.started) == 1)
        control = {"topic": lab.topics.control}
        await lab.send([{"value": _cancel(n), **control} for n in ("waits", "runs")])
        await work.until(lambda: len(work.finished) == 2)
        await lab.until_committed(2)
    assert [j.job_id for j in work.jobs] == ["runs", "waits"]


async def test_a_cancel_that_was_sent_before_the_start_is_known_at_the_first_admission(
    lab: Lab,
) -> None:
    value = json.dumps({**json.loads(job(gate="never")), "job_id": "j"}).encode()
    await lab.send([{"value": value}])
    control = [{"value": _cancel(f"x{n}"), "topic": lab.topics.control} for n in range(300)]
    await lab.send([*control, {"value": _cancel("j"), "topic": lab.topics.control}])
    work = Work()
    async with lab.intake(work, control=True):
        await work.until(lambda: len(work.finished) == 1)
        await lab.send([{"value": value}])  # sent after the cancel: a new wish
        await work.until(lambda: len(work.started) == 2)
        assert work.jobs[0].cancelled.is_set()
        assert not work.jobs[1].cancelled.is_set()
        work.open("never")


async def test_without_a_control_topic_work_goes_on(
    kafka: KafkaHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consumer.kafka import control

    monkeypatch.setattr(control, "CATCH_UP_S", 1.0)
    topics = set(kafka.topics.all()) - {kafka.topics.control}
    kafka.create_topics(dict.fromkeys(topics, 1))
    lab = Lab(kafka)
    work = Work()
    await lab.send([{"value": job()}])
    async with lab.intake(work, control=True):
        await lab.until_committed(1)


async def test_a_control_topic_that_cannot_be_read_is_said_until_it_can_be(
    kafka: KafkaHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confluent_kafka.admin import AdminClient

    from consumer.kafka import control

    kafka.require(Can.ADMIN)
    for name in ("CATCH_UP_S", "RETRY_S"):
        monkeypatch.setattr(control, name, 0.2)
    kafka.create_topics(dict.fromkeys(set(kafka.topics.all()) - {kafka.topics.control}, 1))
    lab, state = Lab(kafka), State("a group")
    admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
    state.phase, state.processing = "running", SimpleNamespace(why_not_ready=lambda: None)  # type: ignore[assignment]

    async def said() -> bool:
        consumer = reader.consumer
        if consumer is not None:
            consumer._client.force_metadata_update()  # else a minute may pass
        return f"cancels cannot be heard: topic {kafka.topics.control}" in (state.ready() or "")

    async def ready() -> bool:
        return state.ready() is None

    state.control = reader = ControlReader(lab.settings(), Cancellations())
    await reader.start()
    try:
        async with lab.intake(Work()) as state.intake:
            await until(said)
            kafka.create_topics({kafka.topics.control: 1})
            await until(ready)
            (gone,) = admin.delete_topics([kafka.topics.control]).values()
            await asyncio.to_thread(gone.result, 120)
            await until(said)
    finally:
        await reader.stop()


async def test_cancels_are_heard_on_after_the_client_that_reads_them_broke(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And logged once: the new client reads all of days again."""
    from consumer.kafka import control

    monkeypatch.setattr(control, "RETRY_S", 0.2)
    reader = ControlReader(lab.settings(), Cancellations())

    async def cancel(job_id: str) -> None:
        await lab.send([{"value": _cancel(job_id), "topic": lab.topics.control}])

    async def replaced() -> bool:
        return reader.consumer is not broken  # what it had asked for it may still bring

    def read(*jobs: str) -> Callable[[], Awaitable[bool]]:
        async def all_read() -> bool:
            return sorted(jobs) == sorted(each["job_id"] for each in said if "job_id" in each)

        return all_read

    await cancel("before")
    with capture_logs() as said:
        await reader.start()
        broken: Any = reader.consumer
        try:
            await cancel("heard")
            await until(read("before", "heard"))
            break_fetching(broken)
            await until(replaced)
            await cancel("after")
            await until(read("before", "before", "heard", "heard", "after"))
        finally:
            await reader.stop()
    loud = [each["job_id"] for each in said if each["log_level"] == "info" and "job_id" in each]
    assert loud == ["heard", "after"]
    last: Any = reader.consumer
    assert broken._closed
    assert last._closed
