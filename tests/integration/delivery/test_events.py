"""Events reach their topics as they are, however long that takes."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.jobs import Record
from consumer.kafka import producing
from consumer.kafka import publisher as publisher_module
from consumer.kafka.producing import Line
from consumer.kafka.publisher import Publisher
from consumer.kafka.topics_apply import Change, admin, apply
from schemas.events import Failed, Progress
from tests.integration.delivery.calls import ERROR, headers_of
from tests.integration.lab import Lab, until
from tests.support.handles import KafkaHandle


async def test_an_outcome_is_a_cloud_event_with_the_id_it_was_given(
    lab: Lab, publisher: Publisher
) -> None:
    event = Failed(job_id="j", error=ERROR, attempt=3, max_attempts=3, failed_at=datetime.now(UTC))
    for _ in range(2):
        await publisher.failed(event, "event-1", "00-trace-01")
    for raw in await lab.read(lab.topics.failed, 2):
        headers = headers_of(raw)
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


async def test_progress_never_waits_and_is_dropped_where_much_of_it_waits(
    lab: Lab, publisher: Publisher
) -> None:
    for percent in range(101):
        publisher.progress(_progress(percent))
    got = [json.loads(r.value) for r in await lab.read(lab.topics.progress, 64)]
    assert sorted(event["percent"] for event in got) == [*range(64)]
    publisher.progress(_progress(100))
    last = (await lab.read(lab.topics.progress, 65))[-1]
    assert json.loads(last.value)["percent"] == 100


async def test_progress_comes_again_when_its_topic_takes_what_it_had_refused(
    lab: Lab, publisher: Publisher
) -> None:
    """A refused record left a gap in the numbers of its partition, behind which none was taken."""
    topic = lab.topics.progress

    async def limit(size: int) -> None:
        change = Change(topic, "configure", 1, 1, {"max.message.bytes": str(size)})
        async with admin(lab.settings()) as client:
            await apply(client, [change], 1)

    async def told(lines: list[Any], event: str) -> None:
        async def said() -> bool:
            publisher.progress(_progress(0, str(uuid.uuid4())))  # each of a job of its own
            return event in [line["event"] for line in lines]

        await until(said)

    publisher.progress(_progress(0))
    assert len(await lab.read(topic, 1)) == 1
    with capture_logs() as lines:
        await limit(100)
        await told(lines, "progress is not told")
        await limit(1_000_000)
        await told(lines, "progress is told again")
    assert [line["event"] for line in lines].count("progress is not told") == 1


async def test_an_announcement_waits_out_a_broker_that_is_away(
    own_kafka: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "OVERDUE_S", 0.5)
    kafka = KafkaHandle.fresh(own_kafka)
    kafka.create_topics()
    lab = Lab(kafka)
    publisher = Publisher(lab.settings())
    await publisher.start()
    event = Failed(job_id="j", error=ERROR, attempt=1, max_attempts=3, failed_at=datetime.now(UTC))
    large = Record(lab.topics.requests, 0, 5, None, b"[" + b"1.5, " * 500_000, (), 0)

    async def said() -> bool:
        return publisher.trouble is not None

    try:
        await publisher.failed(event, "before", None)
        own_kafka.kill()
        publisher.progress(_progress(50))
        waiting = [
            asyncio.create_task(publisher.failed(event, "during", None)),
            asyncio.create_task(publisher.dead_letter(large, "j", ERROR, 1)),
        ]
        await until(said)
        assert not any(task.done() for task in waiting)
        own_kafka.start()
        await asyncio.wait_for(asyncio.gather(*waiting), 120)
        await publisher.failed(event, "after", None)
    finally:
        await publisher.stop()
    ids = [headers_of(raw)["ce_id"] for raw in await lab.read(lab.topics.failed, 3)]
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
    ids = [headers_of(raw)["ce_id"] for raw in await lab.read(lab.topics.failed, 2)]
    assert ids == ["1", "2"]


def _partition(producer: Any, lab: Lab) -> Any:
    return next(
        tp for tp in producer._txn_manager._sequence_numbers if tp.topic == lab.topics.failed
    )


def test_the_pauses_of_an_outage_stay_short() -> None:
    assert producing.LONGEST_PAUSE_S <= 5.0, "resumes within 10 s of the broker's return"


async def test_what_announces_outcomes_does_not_wait_for_what_tells_progress(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica was ready only when both had connected, one after the other."""
    connect, connected = Line._connect, asyncio.Event()

    async def held_back(line: Line) -> Any:
        if not line._numbered:
            await connected.wait()
        return await connect(line)

    monkeypatch.setattr(Line, "_connect", held_back)
    monkeypatch.setattr(publisher_module, "PROGRESS_S", 120.0)  # to connect may take as long
    publisher = Publisher(lab.settings())
    event = Failed(job_id="j", error=ERROR, attempt=1, max_attempts=3, failed_at=datetime.now(UTC))
    try:
        await asyncio.wait_for(publisher.start(), 120)
        publisher.get_ready()
        await asyncio.wait_for(publisher.failed(event, "1", None), 120)
        publisher.progress(_progress(1))
        connected.set()
        assert len(await lab.read(lab.topics.progress, 1)) == 1, "it is told once it can be"
    finally:
        await publisher.stop()


async def test_a_publisher_that_is_stopped_keeps_no_connection(lab: Lab) -> None:
    publisher = Publisher(lab.settings())
    await publisher.start()
    publisher.get_ready()
    await asyncio.gather(*publisher._pending)
    lines = (publisher._line, publisher._signs)
    producers = [line.producer for line in lines]
    assert None not in producers
    await publisher.stop()
    assert [line.producer for line in lines] == [None, None]
    assert all(each._closed for each in producers if each is not None)
    assert all(line._producer is None for line in publisher._letters.large_lines)
