"""Records of every size, packing and shape come through, or are refused; none holds up another."""

from __future__ import annotations

import json

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.codec import snappy_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from consumer.kafka.selection import Selection, records
from tests.integration.lab import MINIMAL, PATIENCE_S, Lab, Work, job
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle

_RECORDS_AT, _SNAPPY = 61, 2
"""Of a batch: where its records begin, and the number of that codec."""
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
    await _send_batch(lab, batch)


async def _send_batch(lab: Lab, batch: BatchBuilder) -> None:
    """Send a batch whose bytes were changed by hand."""
    data = batch._build()
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    producer = AIOKafkaProducer(bootstrap_servers=lab.kafka.servers)
    await producer.start()
    try:
        await (await producer.send_batch(batch, lab.topics.requests, partition=0))
    finally:
        await producer.stop()


async def test_snappy_streams_in_a_row_which_brokers_take_hold_up_nobody(lab: Lab) -> None:
    """aiokafka reads the first one alone; nobody got past that batch."""
    lab.kafka.require(Can.ADMIN)  # the embedded broker gives no batch from its middle
    batch = BatchBuilder(1 << 20, 0)
    batch.append(timestamp=None, key=None, value=job(), headers=[])
    data = batch._build()
    body = bytes(data[_RECORDS_AT:])
    data[_RECORDS_AT:] = snappy_encode(body[:40]) + snappy_encode(body[40:])
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    data[21:23] = _SNAPPY.to_bytes(2, "big")
    work = Work()
    await lab.send([{"value": job()}])
    await _send_batch(lab, batch)
    await lab.send([{"value": job()}])
    async with lab.intake(work):
        await lab.until_committed(3)
    assert [offset for _, _, offset in work.finished] == [0, 2]
    assert [offset for (_, _, offset), _ in work.rejected] == [1]


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
