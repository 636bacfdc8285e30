"""Replays on a real broker and a real store: what is chosen, what is sent, what stays the same."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from consumer.jobs import Job
from consumer.kafka import selection
from consumer.kafka.admission import admit
from consumer.kafka.connecting import ClientFailed
from consumer.kafka.delivery import to_record
from consumer.kafka.publisher import Publisher
from consumer.kafka.replay import Row, replay
from consumer.kafka.selection import ReplayError, Selection, records
from consumer.store.outcomes import StoredOutcomes
from consumer.store.records import Keys
from consumer.store.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.events import Failed
from schemas.ids import event_id, record_job_id
from schemas.manifest import Manifest
from schemas.render import ErrorFacts
from tests.integration.lab import MINIMAL, Lab, Work
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.kafka import ApacheKafka


def job(n: str = "0") -> bytes:
    """A request whose picture is its own."""
    return json.dumps({**MINIMAL, "audio_url": f"s3://face2face/{n}.wav"}).encode()


class Bench(Lab):
    """A laboratory with a store."""

    def __init__(self, kafka: KafkaHandle, s3: S3Handle) -> None:
        super().__init__(kafka, **s3.env)
        self.s3 = s3

    async def replay(self, *, dry_run: bool = False, **selection: Any) -> list[Row]:
        settings = self.settings()
        storage = Storage(settings)
        publisher = None if dry_run else Publisher(settings)
        try:
            if publisher is not None:
                await publisher.start()
            find = StoredOutcomes(storage, settings.s3_bucket)
            chosen = Selection(**selection)
            return [row async for row in replay(settings, chosen, find, publisher)]
        finally:
            storage.close()
            if publisher is not None:
                await publisher.stop()

    async def record_failure(self, offset: int, generation: int = 0) -> None:
        """Put a manifest that says that the job of a record failed."""
        raw = (await self.read(self.topics.requests, offset + 1))[offset]
        found = admit(to_record(raw))
        assert isinstance(found, Job)
        render = f"render-{generation}"
        error = ErrorFacts(
            code=ErrorCode.NO_FACE, stage=Stage.TRACK, message="no face", retryable=False
        )
        now = datetime.now(UTC)
        failed = Failed(job_id=found.job_id, error=error, attempt=1, max_attempts=3, failed_at=now)
        manifest = Manifest(
            job_id=found.job_id,
            render_id=render,
            event_id=event_id(found.job_id, render, "failed"),
            outcome="failed",
            failed=failed,
            request=found.request,
            generation=generation,
            created_at=now,
        )
        data = manifest.model_dump_json().encode()
        key = Keys.of(found, render, self.s3.bucket).manifest
        self.s3.client().put_object(self.s3.bucket, key, io.BytesIO(data), len(data))


@pytest.fixture
def bench(kafka: KafkaHandle, s3: S3Handle) -> Bench:
    kafka.create_topics()
    return Bench(kafka, s3)


async def _copy(bench: Bench) -> Any:
    """The one of two records that replay sent; its key may have put it into another partition."""
    found = await bench.read(bench.topics.requests, 2)
    (copy,) = [raw for raw in found if "f2f-replay-of" in _headers(raw)]
    return copy


def _headers(raw: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in raw.headers}


async def test_a_dry_run_tells_and_sends_nothing(bench: Bench) -> None:
    await bench.send([{"value": job(n="1")}, {"value": b"poison"}, {"value": job(n="2")}])
    await bench.record_failure(0)
    rows = await bench.replay(dry_run=True)
    assert [(r.offset, r.outcome, r.action) for r in rows] == [
        (0, "failed", "announce"),
        (1, "unknown", "skip"),
        (2, "none", "render"),
    ]
    assert "can never become a job" in rows[1].reason
    await bench.send([{"value": job(n="3")}])
    assert len(await bench.replay(dry_run=True)) == 4, "the dry run had sent something"


async def test_a_replayed_record_keeps_its_job_and_is_a_new_event(bench: Bench) -> None:
    headers = [("ce_id", b"e 1"), ("traceparent", b"00-a-01"), ("x-own", b"1")]
    await bench.send([{"value": job(), "key": b"mine", "headers": headers}])
    (row,) = await bench.replay()
    raw = await _copy(bench)
    sent = _headers(raw)
    assert row.job_id == record_job_id(bench.topics.requests, 0, 0)
    assert sent["f2f-job-id"] == row.job_id
    assert sent["f2f-replay-of"] == "e 1"
    assert sent["ce_id"] == row.event_id != "e 1"
    assert sent["f2f-replay-traceparent"] == "00-a-01"
    assert "traceparent" not in sent
    assert "f2f-generation" not in sent
    assert (sent["x-own"], raw.key) == ("1", b"mine")
    work = Work()
    async with bench.intake(work):
        await work.until(lambda: len(work.finished) == 2)
    assert {j.job_id for j in work.jobs} == {row.job_id}


async def test_a_rerender_takes_the_generation_after_the_last(bench: Bench) -> None:
    await bench.send([{"value": job()}])
    await bench.record_failure(0, generation=0)
    await bench.record_failure(0, generation=4)
    (row,) = await bench.replay(rerender=True)
    assert (row.action, row.generation) == ("render again", 5)
    assert _headers(await _copy(bench))["f2f-generation"] == "5"
    (row, copy) = await bench.replay(dry_run=True)
    assert (row.action, row.generation) == ("announce", 4)
    assert copy.reason.startswith("the same request as")


async def test_only_failed_leaves_the_others_alone(bench: Bench) -> None:
    await bench.send([{"value": job(n="1")}, {"value": job(n="2")}])
    await bench.record_failure(1)
    rows = await bench.replay(only_failed=True, rerender=True)
    assert [(r.action, r.reason) for r in rows] == [
        ("skip", "not failed: none"),
        ("render again", ""),
    ]
    assert len(await bench.replay(dry_run=True)) == 3


async def test_records_are_chosen_by_place_key_and_job(bench: Bench) -> None:
    await bench.send(
        [{"value": job(n=str(n)), "key": b"even" if n % 2 == 0 else b"odd"} for n in range(6)]
    )

    async def offsets(**selection: Any) -> list[int]:
        return [row.offset for row in await bench.replay(dry_run=True, **selection)]

    assert await offsets(partition=0, from_offset=2, to_offset=4) == [2, 3]
    assert await offsets(partition=0, from_offset=99) == []
    assert await offsets(key=b"odd") == [1, 3, 5]
    assert await offsets(job_id=record_job_id(bench.topics.requests, 0, 4)) == [4]


async def test_records_are_chosen_by_time(bench: Bench) -> None:
    await bench.send([{"value": job(n="1")}])
    first = to_record((await bench.read(bench.topics.requests, 1))[0]).sent_at
    await bench.send([{"value": job(n="2")}])
    after = first + timedelta(milliseconds=1)
    late = datetime.now(UTC) + timedelta(hours=1)
    assert [r.offset for r in await bench.replay(dry_run=True, from_time=after)] == [1]
    assert [r.offset for r in await bench.replay(dry_run=True, to_time=after)] == [0]
    assert await bench.replay(dry_run=True, from_time=late) == []


async def test_a_time_before_all_times_takes_all(bench: Bench) -> None:
    await bench.send([{"value": job(n="1")}])
    for early in (datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)):
        assert [r.offset for r in await bench.replay(dry_run=True, from_time=early)] == [0]


async def test_records_deleted_while_it_reads_others_take_none_that_are_left_along(
    kafka: KafkaHandle, s3: S3Handle
) -> None:
    """A long replay comes to the last partition hours later; the topic keeps its days meanwhile."""
    kafka.require(Can.ADMIN)
    kafka.create_topics({kafka.topics.requests: 2})
    bench = Bench(kafka, s3)
    for partition in (0, 1):
        await bench.send([{"value": job(n=f"{n}"), "partition": partition} for n in range(5)])
    reading = records(bench.settings(), Selection())
    found = [await anext(reading)]
    admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
    (gone,) = admin.delete_records([Place(kafka.topics.requests, 1, 3)]).values()
    await asyncio.to_thread(gone.result, 120)
    found += [record async for record in reading]
    assert [(r.partition, r.offset) for r in found] == [*((0, n) for n in range(5)), (1, 3), (1, 4)]


@pytest.mark.chaos
async def test_brokers_that_go_away_under_it_end_it_with_a_reason(
    own_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for them in silence, for ever."""
    monkeypatch.setattr(selection, "ANSWER_S", 2.0)
    handle = KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own")
    handle.create_topics({handle.topics.requests: 2})
    lab = Lab(handle)
    for partition in (0, 1):
        await lab.send([{"value": job(), "partition": partition}])
    reading = records(lab.settings(), Selection())
    await anext(reading)
    own_kafka.kill()
    with pytest.raises(ClientFailed, match="do not answer any more for partition 1"):
        async with asyncio.timeout(120):
            await anext(reading)


async def test_dead_letters_are_sent_to_the_request_topic_again(bench: Bench) -> None:
    headers = [("f2f-job-id", b"j"), ("f2f-error-code", b"WORKER_CRASHED"), ("f2f-attempt", b"3")]
    cut = [("f2f-truncated", b"99999999")]
    dlq = bench.topics.dlq
    await bench.send(
        [
            {"value": job(n="1"), "topic": dlq, "headers": headers},
            {"value": job(n="2"), "topic": dlq, "headers": cut},
        ]
    )
    good, bad = await bench.replay(dead_letters=True)
    assert (good.job_id, good.action) == ("j", "render")
    assert "cut short" in bad.reason
    sent = _headers((await bench.read(bench.topics.requests, 1))[0])
    assert sent["f2f-job-id"] == "j"
    assert not {"f2f-error-code", "f2f-attempt"} & set(sent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"from_offset": 3},
        {"partition": 0, "from_offset": 3, "to_offset": 3},
        {"partition": 0, "from_offset": -1},
        {"partition": 7},
        {"from_time": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the point
    ],
)
async def test_a_selection_that_cannot_work_is_refused(bench: Bench, wrong: dict[str, Any]) -> None:
    with pytest.raises(ReplayError):
        await bench.replay(dry_run=True, **wrong)
