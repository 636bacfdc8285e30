"""Retries, dead letters, announcements and cancellations on a real broker."""

from __future__ import annotations

import asyncio
import json
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumer import producing
from consumer.delivery import to_record
from consumer.jobs import Record
from consumer.publisher import Publisher
from consumer.topics_apply import Change, admin, apply
from schemas.codes import ErrorCode, Stage
from schemas.events import Failed, Progress
from schemas.render import ErrorFacts
from tests.integration.lab import Lab, Work, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle

ERROR = ErrorFacts(
    code=ErrorCode.WORKER_CRASHED, stage=Stage.GENERATE, message="it fell over", retryable=True
)


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    kafka.require(Can.ADMIN)  # topics of one partition, so that order is known
    kafka.create_topics()
    return Lab(kafka)


@pytest.fixture
async def publisher(lab: Lab) -> Any:
    made = Publisher(lab.settings())
    await made.start()
    yield made
    await made.stop()


def _headers(raw: Any) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace") for name, value in raw.headers}


async def _first_record(lab: Lab) -> Record:
    return to_record((await lab.read(lab.topics.requests, 1))[0])


async def test_a_retry_is_not_started_before_it_is_due_and_keeps_its_job(
    lab: Lab, publisher: Publisher
) -> None:
    await lab.send([{"value": job(), "key": b"mine", "headers": [("x-own", b"\xff\x00")]}])
    record = await _first_record(lab)
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
    record = await _first_record(lab)
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
    record = await _first_record(lab)
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
    record = await _first_record(lab)
    await publisher.retry(record, "j", ERROR, 1, datetime.now(UTC))
    copy = to_record((await lab.read(lab.topics.retry, 1))[0])
    await publisher.dead_letter(copy, "j", ERROR, 3)
    dead = (await lab.read(lab.topics.dlq, 1))[0]
    headers = _headers(dead)
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


async def test_a_dead_letter_that_is_too_large_is_cut_and_says_so(
    lab: Lab, publisher: Publisher
) -> None:
    size = 3 * 1024 * 1024
    record = Record(lab.topics.requests, 0, 5, None, random.randbytes(size), (), 0)
    await publisher.dead_letter(record, "j", ERROR, 1)
    await publisher.dead_letter(record, "k", ERROR, 1)
    dead = await lab.read(lab.topics.dlq, 2)
    for raw in dead:
        assert 0 < len(raw.value) < size
        assert _headers(raw)["f2f-truncated"] == str(size)


@pytest.mark.parametrize("piece", [b"x", b'{"x": 1.25, "name": "%d"}, '], ids=["same", "text"])
async def test_a_large_dead_letter_that_compresses_keeps_every_byte(
    lab: Lab, publisher: Publisher, piece: bytes
) -> None:
    numbered = (piece.replace(b"%d", b"%d" % n) for n in range(10 * 1024 * 1024 // len(piece)))
    value = b'{"audio_url": "' + b"".join(numbered) + b'"}'  # the topic takes 1 MB
    record = Record(lab.topics.requests, 0, 5, None, value, (), 0)
    await publisher.dead_letter(record, "j", ERROR, 1)
    dead = (await lab.read(lab.topics.dlq, 1))[0]
    assert dead.value == value
    assert "f2f-truncated" not in _headers(dead)


async def test_a_large_dead_letter_goes_as_it_is_where_it_does_not_compress(
    kafka: KafkaHandle,
) -> None:
    kafka.require(Can.ADMIN)
    kafka.create_topics(config={"max.message.bytes": str(12 * 1024 * 1024)})
    lab = Lab(kafka)
    publisher = Publisher(lab.settings())
    await publisher.start()
    values = [random.Random(n).randbytes(10 * 1024 * 1024) for n in range(3)]
    kept = (("x-own", b"\xff\x00"), ("ce_id", b"e1"))
    records = [Record(lab.topics.requests, 0, n, b"key", v, kept, 0) for n, v in enumerate(values)]
    try:
        await asyncio.gather(*(publisher.dead_letter(r, "j", ERROR, 1) for r in records))
    finally:
        await publisher.stop()
    dead = await lab.read(lab.topics.dlq, 3)
    assert sorted(raw.value for raw in dead) == sorted(values)
    for raw in dead:
        assert raw.key == b"key"
        assert dict(raw.headers)["x-own"] == b"\xff\x00"
        assert _headers(raw)["f2f-error-code"] == "WORKER_CRASHED"
        assert "f2f-truncated" not in _headers(raw)


async def test_the_first_dead_letters_find_connections_open_and_topics_known(
    lab: Lab, publisher: Publisher
) -> None:
    publisher.get_ready()
    known = await asyncio.wait_for(asyncio.gather(*publisher._pending), 120)
    assert known.count(True) == 2  # the ones for large letters
    assert publisher._line.producer is not None
    assert publisher._line.producer.client.cluster.partitions_for_topic(lab.topics.failed)


async def test_an_outcome_is_a_cloud_event_with_the_id_it_was_given(
    lab: Lab, publisher: Publisher
) -> None:
    event = Failed(job_id="j", error=ERROR, attempt=3, max_attempts=3, failed_at=datetime.now(UTC))
    for _ in range(2):
        await publisher.failed(event, "event-1", "00-trace-01")
    for raw in await lab.read(lab.topics.failed, 2):
        headers = _headers(raw)
        assert (headers["ce_id"], headers["ce_subject"]) == ("event-1", "j")
        assert headers["ce_type"] == "com.face2face.failed.v1"
        assert headers["traceparent"] == "00-trace-01"
        assert headers["content-type"] == "application/json"
        assert raw.key == b"j"
        assert Failed.model_validate_json(raw.value) == event


async def test_an_event_larger_than_its_topic_goes_out_without_its_echoes(
    lab: Lab, publisher: Publisher
) -> None:
    event = Failed(
        job_id="j",
        error=ERROR,
        attempt=1,
        max_attempts=3,
        failed_at=datetime.now(UTC),
        consent={"scan": "x" * 2_000_000},
    )
    await publisher.failed(event, "event-1", None)
    await publisher.failed(event.model_copy(update={"consent": {"by": "me"}}), "event-2", None)
    first, second = await lab.read(lab.topics.failed, 2)
    assert "consent" not in json.loads(first.value)
    assert json.loads(second.value)["consent"] == {"by": "me"}


async def test_an_outcome_that_its_topic_is_too_small_for_is_held_with_the_reason_until_it_is_not(
    lab: Lab,
) -> None:
    settings = lab.settings(F2F_TOPIC_PREFIX=f"{lab.topics.prefix}.small")
    topic = settings.topics.failed
    lab.kafka.create_topics({topic: 1}, {"max.message.bytes": "200"})
    publisher = Publisher(settings)
    await publisher.start()
    event = Failed(job_id="j", error=ERROR, attempt=1, max_attempts=3, failed_at=datetime.now(UTC))
    sending = asyncio.create_task(publisher.failed(event, "event-1", None))

    async def said() -> bool:
        return publisher.trouble is not None

    try:
        await until(said)
        assert f"topic {topic} takes no event of " in str(publisher.trouble)
        assert "max.message.bytes" in str(publisher.trouble)
        larger = Change(topic, "configure", 1, 1, {"max.message.bytes": "1000000"})
        async with admin(settings) as client:
            await apply(client, [larger], 1)
        await asyncio.wait_for(sending, 120)
        assert publisher.trouble is None
        (raw,) = await lab.read(topic, 1)
        assert Failed.model_validate_json(raw.value) == event
    finally:
        await publisher.stop()


def _progress(percent: float, job_id: str = "j") -> Progress:
    return Progress(
        job_id=job_id,
        render_id="r",
        stage="generate",
        percent=percent,
        frames_done=1,
        frames_total=100,
        attempt=1,
        at=datetime.now(UTC),
    )


async def test_progress_is_thinned_and_never_waits(lab: Lab, publisher: Publisher) -> None:
    for percent in range(101):
        publisher.progress(_progress(percent))
    publisher.progress(_progress(0, "other"))
    got = [json.loads(r.value) for r in await lab.read(lab.topics.progress, 22)]
    mine = [e["percent"] for e in got if e["job_id"] == "j"]
    assert sorted(mine) == [0, *range(5, 101, 5)]


async def test_an_announcement_waits_out_a_broker_that_is_away(own_kafka: Any) -> None:
    kafka = KafkaHandle.fresh(own_kafka)
    kafka.create_topics()
    lab = Lab(kafka)
    publisher = Publisher(lab.settings())
    await publisher.start()
    event = Failed(job_id="j", error=ERROR, attempt=1, max_attempts=3, failed_at=datetime.now(UTC))
    large = Record(lab.topics.requests, 0, 5, None, b"[" + b"1.5, " * 500_000, (), 0)
    try:
        await publisher.failed(event, "before", None)
        own_kafka.kill()
        publisher.progress(_progress(50))
        waiting = [
            asyncio.create_task(publisher.failed(event, "during", None)),
            asyncio.create_task(publisher.dead_letter(large, "j", ERROR, 1)),
        ]
        await asyncio.sleep(2.0)
        assert not any(task.done() for task in waiting)
        own_kafka.start()
        await asyncio.wait_for(asyncio.gather(*waiting), 120)
        await publisher.failed(event, "after", None)
    finally:
        await publisher.stop()
    ids = [_headers(raw)["ce_id"] for raw in await lab.read(lab.topics.failed, 3)]
    assert sorted(ids) == ["after", "before", "during"]
    assert (await lab.read(lab.topics.dlq, 1))[0].value == large.value


async def test_a_producer_that_can_no_longer_number_its_records_is_replaced(
    lab: Lab, publisher: Publisher
) -> None:
    event = Failed(job_id="j", error=ERROR, attempt=1, max_attempts=3, failed_at=datetime.now(UTC))
    await publisher.failed(event, "1", None)
    before: Any = publisher._line.producer
    before._txn_manager.increment_sequence_number(_partition(before, lab), 5)  # a gap
    await publisher.failed(event, "2", None)
    assert publisher._line.producer is not before
    ids = [_headers(raw)["ce_id"] for raw in await lab.read(lab.topics.failed, 2)]
    assert ids == ["1", "2"]


def _partition(producer: Any, lab: Lab) -> Any:
    return next(
        tp for tp in producer._txn_manager._sequence_numbers if tp.topic == lab.topics.failed
    )


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
    from consumer import control

    monkeypatch.setattr(control, "CATCH_UP_S", 1.0)
    topics = set(kafka.topics.all()) - {kafka.topics.control}
    kafka.create_topics(dict.fromkeys(topics, 1))
    lab = Lab(kafka)
    work = Work()
    await lab.send([{"value": job()}])
    async with lab.intake(work, control=True):
        await lab.until_committed(1)


def test_the_pauses_of_an_outage_stay_short() -> None:
    assert producing.LONGEST_PAUSE_S <= 5.0, "resumes within 10 s of the broker's return"
