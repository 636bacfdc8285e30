"""A record that is put off waits until it is due, and holds up nobody else."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from consumer.kafka.delivery import to_record
from consumer.kafka.publisher import Publisher
from tests.integration.delivery.calls import ERROR, first_record, headers_of
from tests.integration.lab import Lab, Work, job
from tests.support.capabilities import Can


async def test_a_retry_is_not_started_before_it_is_due_and_keeps_its_job(
    lab: Lab, publisher: Publisher
) -> None:
    await lab.send([{"value": job(), "key": b"mine", "headers": [("x-own", b"\xff\x00")]}])
    record = await first_record(lab)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)  # the header has ms
    await publisher.retry(record, "job-7", ERROR, 1, due)
    work = Work()
    started: list[float] = []

    class Timed(Work):
        async def process(self, job: Any) -> Any:
            started.append(time.time())
            return await super().process(job)

    work = Timed()
    async with lab.intake(work) as intake:
        await work.until(lambda: len(work.finished) == 2)
        await lab.until_committed(1, topic=lab.topics.retry)
        assert intake.pump.facts()["paused_until_due"] == {}
    assert started[1] >= due.timestamp()
    first, again = work.jobs
    assert again.job_id == "job-7"
    assert again.record.key == b"mine"
    assert again.record.value == first.record.value
    assert dict(again.record.headers)["x-own"] == b"\xff\x00"
    assert again.record.header("f2f-attempt") == "1"
    assert again.record.header("f2f-original-topic") == lab.topics.requests
    assert again.record.header("f2f-original-offset") == "0"
    assert again.record.header("f2f-original-timestamp") == str(record.timestamp_ms)


async def test_records_that_wait_hold_up_neither_requests_nor_a_drain(
    lab: Lab, publisher: Publisher
) -> None:
    await lab.send([{"value": job()}])
    record = await first_record(lab)
    await publisher.retry(record, "j", ERROR, 1, datetime.now(UTC) + timedelta(hours=1))
    work = Work()
    async with lab.intake(work, limit=1, drain_s=30) as intake:
        await work.until(lambda: len(work.finished) == 1)
        await lab.send([{"value": job()} for _ in range(5)])
        await work.until(lambda: len(work.finished) == 6)
        assert intake.pump.facts()["paused_until_due"] == {lab.topics.retry: [0]}
    assert (await lab.committed(topic=lab.topics.retry))[0] == 0


async def test_a_due_time_that_never_comes_stalls_nothing(lab: Lab) -> None:
    never = [("f2f-due", b"9" * 18)]
    await lab.send([{"value": job(), "topic": lab.topics.retry, "headers": never}] * 2)
    await lab.send([{"value": job(), "topic": lab.topics.retry}])
    work = Work()
    async with lab.intake(work, settings=lab.settings(F2F_RETRY_DELAYS_S="0.2,0.5")):
        await work.until(lambda: len(work.finished) == 3)
        await lab.until_committed(3, topic=lab.topics.retry)


async def test_a_waiting_retry_survives_a_rebalance(lab: Lab, publisher: Publisher) -> None:
    lab.kafka.require(Can.GROUPS)
    await lab.send([{"value": job()}])
    record = await first_record(lab)
    await publisher.retry(record, "j", ERROR, 1, datetime.now(UTC) + timedelta(seconds=4))
    first, second = Work(), Work()
    async with lab.intake(first):
        await first.until(lambda: len(first.finished) == 1)
        async with lab.intake(second):
            pass
        async with lab.intake(second):
            async with asyncio.timeout(120):
                while len(first.finished) + len(second.finished) < 2:
                    await asyncio.sleep(0.05)
    assert len(first.started) + len(second.started) == 2


async def test_a_second_copy_keeps_the_place_of_the_first_record(
    lab: Lab, publisher: Publisher
) -> None:
    await lab.send([{"value": b"raw \xff bytes", "headers": [("ce_id", b"e1")]}])
    record = await first_record(lab)
    await publisher.retry(record, "j", ERROR, 1, datetime.now(UTC))
    copy = to_record((await lab.read(lab.topics.retry, 1))[0])
    await publisher.dead_letter(copy, "j", ERROR, 3)
    dead = (await lab.read(lab.topics.dlq, 1))[0]
    headers = headers_of(dead)
    assert dead.value == b"raw \xff bytes"
    assert headers["f2f-original-topic"] == lab.topics.requests
    assert headers["f2f-error-code"] == "WORKER_CRASHED"
    assert headers["f2f-error-message"] == "it fell over"
    assert headers["f2f-error-retryable"] == "true"
    assert headers["f2f-error-attempt"] == "3"
    assert headers["f2f-error-first-failed-at"] == copy.header("f2f-error-first-failed-at")
    assert headers["ce_id"] == "e1"
    assert "f2f-due" not in headers
    names = [name for name, _ in dead.headers]
    assert len(names) == len(set(names))
