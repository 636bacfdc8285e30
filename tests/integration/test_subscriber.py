"""The long-job subscriber on a real broker: what it starts, commits and outlives."""

from __future__ import annotations

import asyncio
import gc
import json
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from faststream import BaseMiddleware
from structlog.testing import capture_logs

from consumer.app import State
from consumer.membership import member_id
from consumer.polling import Poller
from consumer.selection import Selection, records
from tests.integration.lab import MINIMAL, PATIENCE_S, Lab, Work, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    kafka.create_topics()
    return Lab(kafka)


async def test_a_job_of_three_poll_intervals_leaves_no_group_and_runs_once(lab: Lab) -> None:
    settings = lab.settings(KAFKA_MAX_POLL_INTERVAL_S="2", KAFKA_SESSION_TIMEOUT_S="60")
    work = Work()
    await lab.send([{"value": job(seconds="6.5")}])
    async with lab.intake(work, limit=1, settings=settings) as intake:
        consumer: Any = intake.pump.assignment.consumer
        before = consumer._coordinator.generation, member_id(consumer)
        await work.until(lambda: len(work.finished) == 1)
        assert (consumer._coordinator.generation, member_id(consumer)) == before
        await lab.until_committed(1)
    assert len(work.started) == 1


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
    async with lab.intake(work, drain_s=60.0):
        await work.until(lambda: len(work.started) == 2)
    assert len(work.finished) == 2
    assert (await lab.committed())[0] == 2


POISON: list[bytes | None] = [
    None,
    b"",
    b"\x00\xff not json",
    b"[" * 100_000,
    b'{"audio_url": "s3://bucket/a", "audio_url": "s3://bucket/a"}',
    b'{"audio_url": 9' + b"9" * 5000 + b"}",
    b'{"audio_url": "nowhere", "video_url": "s3://bucket/v"}',
]


async def test_poison_never_stalls_a_partition_and_never_vanishes(lab: Lab) -> None:
    work = Work()
    await lab.send([{"value": value, "key": b"k"} for value in POISON] + [{"value": job()}])
    async with lab.intake(work, limit=1):
        await lab.until_committed(len(POISON) + 1)
    assert [place[2] for place, _ in work.rejected] == list(range(len(POISON)))
    assert [offset for _, _, offset in work.finished] == [len(POISON)]


async def test_a_record_of_10_mb_passes_the_small_fetches(kafka: KafkaHandle) -> None:
    kafka.require(Can.ADMIN)
    kafka.create_topics(config={"max.message.bytes": str(32 * 1024 * 1024)})
    lab = Lab(kafka)
    work = Work()
    await lab.send([{"value": b"x" * (10 * 1024 * 1024)}, {"value": job()}])
    async with lab.intake(work):
        await lab.until_committed(2)
    assert len(work.rejected) == 1
    assert len(work.finished) == 1


async def test_a_transaction_is_taken_whole_or_not_at_all_and_its_markers_are_no_lag(
    lab: Lab,
) -> None:
    from confluent_kafka import Producer

    lab.kafka.require(Can.GROUPS)
    producer = Producer(
        {"bootstrap.servers": lab.kafka.servers, "transactional.id": lab.topics.requests}
    )
    producer.init_transactions(PATIENCE_S)
    for end in (producer.commit_transaction, producer.abort_transaction) * 2:
        producer.begin_transaction()
        request = {**MINIMAL, "job_id": "kept"}
        producer.produce(lab.topics.requests, json.dumps(request).encode(), partition=0)
        if end == producer.abort_transaction:
            cancel = {"job_id": "kept", "action": "cancel"}
            producer.produce(lab.topics.control, json.dumps(cancel).encode())
        producer.flush(PATIENCE_S)
        end(PATIENCE_S)
    work = Work()
    async with lab.intake(work, control=True):
        await lab.until_committed(8)  # four records, and a marker behind each
    assert [offset for _, _, offset in work.finished] == [0, 4]
    assert not any(each.cancelled.is_set() for each in work.jobs)
    again = [record.offset async for record in records(lab.settings(), Selection())]
    assert again == [0, 4]  # nor does a replay send what was taken back


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_records_come_through_whatever_upstream_compresses_them_with(
    lab: Lab, codec: str
) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": lab.kafka.servers, "compression.type": codec})
    for _ in range(20):  # a batch that is worth it: librdkafka leaves others as they are
        producer.produce(lab.topics.requests, job(note="x" * 500), partition=0)
    assert producer.flush(120) == 0
    work = Work()
    async with lab.intake(work):
        await work.until(lambda: len(work.finished) == 20)


async def test_headers_that_no_parser_likes_do_no_harm(lab: Lab) -> None:
    work = Work()
    headers = [("ce_id", b"\xff\xfe"), ("x", b""), ("reply_to", lab.topics.completed.encode())]
    await lab.send([{"value": job(), "headers": headers}])
    await _send_raw_name(lab)
    async with lab.intake(work):
        await lab.until_committed(2)
    assert len(work.finished) == 2
    assert work.jobs[1].record.headers == (("x-caf\\xe9", b"1"),)


async def _send_raw_name(lab: Lab) -> None:
    """Send a job with a header whose name is no UTF-8: brokers take it, and clients in Go send it.

    The name is written over one of the same length, and the batch's checksum anew.
    """
    batch = BatchBuilder(1 << 20, 0)
    batch.append(timestamp=None, key=None, value=job(), headers=[("x-caf_", b"1")])
    data = batch._build()
    data[:] = data.replace(b"x-caf_", b"x-caf\xe9")
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    producer = AIOKafkaProducer(bootstrap_servers=lab.kafka.servers)
    await producer.start()
    try:
        await (await producer.send_batch(batch, lab.topics.requests, partition=0))
    finally:
        await producer.stop()


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


class Telemetry(BaseMiddleware[Any, Any]):
    """Counts what FastStream shows to middlewares."""

    log: ClassVar[list[str]]

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        self.log.append(f"begin {msg.raw_message.offset}")
        try:
            return await call_next(msg)
        finally:
            self.log.append(f"end {msg.raw_message.offset}")


async def test_faststreams_middlewares_run_inside_each_job(lab: Lab) -> None:
    class Counting(Telemetry):
        log: ClassVar[list[str]] = []

    work = Work()
    await lab.send([{"value": job(gate="g")}, {"value": job()}])
    async with lab.intake(work, middlewares=[Counting]):
        await work.until(lambda: len(work.finished) == 1)
        assert Counting.log == ["begin 0", "begin 1", "end 1"]
        work.open("g")
        await lab.until_committed(2)
    assert Counting.log[-1] == "end 0"


async def test_a_middleware_that_fails_loses_no_job(lab: Lab) -> None:
    class Broken(BaseMiddleware[Any, Any]):
        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            raise RuntimeError("telemetry is down")

    work = Work()
    await lab.send([{"value": job()}, {"value": b"poison"}])
    async with lab.intake(work, middlewares=[Broken]):
        await lab.until_committed(2)
    assert len(work.finished) == 1
    assert len(work.rejected) == 1


async def test_intake_pauses_for_a_reason_and_goes_on_after_it(lab: Lab) -> None:
    reason: list[str | None] = ["the disk is nearly full"]
    work = Work()
    await lab.send([{"value": job()}])
    async with lab.intake(work, blocked=lambda: reason[0]) as intake:
        await asyncio.sleep(1.2)
        assert work.started == []
        assert intake.pump.facts()["intake"] == "the disk is nearly full"
        reason[0] = None
        await lab.until_committed(1)


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


async def _grown(work: Work, seen: int, done: Any, count: int) -> None:
    while len(work.started) < seen + 2 and len(done()) < count:
        await asyncio.sleep(0.02)


def _check_every_commit(monkeypatch: pytest.MonkeyPatch, works: list[Work]) -> None:
    """Fail a commit that passes a record which no replica has finished."""
    from consumer.commits import Committer

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


async def test_batches_that_expand_without_end_are_recorded_and_hold_up_nobody(
    lab: Lab,
) -> None:
    lab.kafka.require(Can.ADMIN)  # the embedded broker gives no batch from its middle
    work = Work()
    await lab.send([{"value": job()}])
    _send_bombs(lab, count=2)
    await lab.send([{"value": job()}])
    control = _send_bombs(lab, count=1, topic=lab.topics.control)
    cancel = json.dumps({"job_id": "late", "action": "cancel"}).encode()
    await lab.send([{"value": cancel, "topic": lab.topics.control}])
    async with lab.intake(work, control=True):
        await lab.until_committed(4)
        await lab.send([{"value": json.dumps({**MINIMAL, "job_id": "late"}).encode()}])
        await lab.until_committed(5)
    assert [offset for _, _, offset in work.started] == [0, 3, 4]
    assert [offset for (_, _, offset), _ in work.rejected] == [1, 2]
    assert all("expands to more than" in error.message for _, error in work.rejected)
    assert control == 1


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


def _send_bombs(lab: Lab, count: int, topic: str | None = None) -> int:
    """Send records of 40 MB in one batch of some kilobytes; how many."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": lab.kafka.servers,
            "compression.type": "zstd",
            "message.max.bytes": 200 * 1024 * 1024,
            "batch.size": 200 * 1024 * 1024,
            "linger.ms": 500,
            "log_level": 0,
        }
    )
    for _ in range(count):
        producer.produce(topic or lab.topics.requests, b"x" * 40 * 1024 * 1024, partition=0)
    assert producer.flush(120) == 0
    return count


async def test_an_operators_reset_gives_all_records_again(lab: Lab) -> None:
    lab.kafka.require(Can.GROUPS)
    work = Work()
    await lab.send([{"value": job()} for _ in range(3)])
    async with lab.intake(work):
        await lab.until_committed(3)
    await _reset(lab, 1)
    again = Work()
    async with lab.intake(again):
        await again.until(lambda: len(again.finished) == 2)
        await lab.until_committed(3)
    assert [offset for _, _, offset in again.started] == [1, 2]


async def _reset(lab: Lab, offset: int) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": lab.kafka.servers})
    place = TopicPartition(lab.topics.requests, 0, offset)
    wanted = [ConsumerGroupTopicPartitions(lab.kafka.group, [place])]
    for future in admin.alter_consumer_group_offsets(wanted).values():
        future.result(timeout=120)


@pytest.mark.parametrize("unseen", [True, False])
async def test_a_topic_that_is_made_anew_is_read_from_its_first_record(
    lab: Lab, unseen: bool
) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    lab.kafka.require(Can.GROUPS, Can.ADMIN)
    topic, admin, work = (
        lab.topics.requests,
        AdminClient({"bootstrap.servers": lab.kafka.servers}),
        Work(),
    )
    await lab.send([{"value": job(gate="old")}, {"value": job()}, {"value": job()}])
    async with lab.intake(work) as intake:
        await until(lambda: _taken(lab))

        async def has_topic(wanted: bool) -> None:
            async def asked() -> bool:
                consumer = intake._subscriber.consumer
                assert consumer is not None
                consumer._client.force_metadata_update()  # else a minute may pass
                return (topic in intake.pump.facts()["partitions"]) is wanted

            await until(asked)

        admin.delete_topics([topic])[topic].result(120)
        if not unseen:
            await has_topic(False)
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(120)
        await lab.send([{"value": job()} for _ in range(2)])
        await has_topic(True)
        await work.until(lambda: len(work.finished) == 4)
        work.open("old")  # at offset 0 of the old topic: no news of the new one
        await work.until(lambda: len(work.finished) == 5)
        await lab.until_committed(2)
        await lab.send([{"value": job()}])
        await lab.until_committed(3)
    assert [offset for _, _, offset in work.finished] == [1, 2, 0, 1, 0, 2]


async def _taken(lab: Lab) -> bool:
    """True when the group has taken a commit that counts two records behind the first as done."""
    return 2 in (await lab.committed())[1]


async def test_records_that_the_topic_did_not_keep_until_they_were_done_are_told(lab: Lab) -> None:
    from confluent_kafka import TopicPartition as Place
    from confluent_kafka.admin import AdminClient

    lab.kafka.require(Can.ADMIN)
    work = Work()
    await lab.send([{"value": job()}] * 2)
    async with lab.intake(work):
        await lab.until_committed(2)
    await lab.send([{"value": job()}] * 7)
    admin = AdminClient({"bootstrap.servers": lab.kafka.servers, "log_level": 0})
    (gone,) = admin.delete_records([Place(lab.topics.requests, 0, 7)]).values()
    await asyncio.to_thread(gone.result, 120)
    with capture_logs() as said:
        async with lab.intake(work):
            await lab.until_committed(9)
            await until_said(said, "records were deleted before they were done")
    (told,) = [line for line in said if "were deleted" in line["event"]]
    assert (told["log_level"], told["records"], told["offset"]) == ("error", 5, 2)
    assert len(work.finished) == 4


async def test_records_that_are_deleted_under_a_replica_that_pauses_are_told(lab: Lab) -> None:
    from confluent_kafka import TopicPartition as Place
    from confluent_kafka.admin import AdminClient

    lab.kafka.require(Can.ADMIN)
    work, reason = Work(), ["the test's"]
    await lab.send([{"value": job()}] * 7)

    async def stands() -> bool:
        return any(place.topic == lab.topics.requests for place in intake.pump._read_to)

    with capture_logs() as said:
        async with lab.intake(work, blocked=lambda: reason[0] if reason else None) as intake:
            await until(stands)
            admin = AdminClient({"bootstrap.servers": lab.kafka.servers, "log_level": 0})
            (gone,) = admin.delete_records([Place(lab.topics.requests, 0, 5)]).values()
            await asyncio.to_thread(gone.result, 120)
            reason.clear()
            await lab.until_committed(7)
            await until_said(said, "records were deleted before they were done")
    (told,) = [line for line in said if "were deleted" in line["event"]]
    assert (told["records"], told["offset"]) == (5, 0)
    assert len(work.finished) == 2


async def until_said(said: list[Any], text: str) -> None:
    async def heard() -> bool:
        return any(text in line["event"] for line in said)

    await until(heard)
