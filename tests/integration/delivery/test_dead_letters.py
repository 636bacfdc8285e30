"""Dead letters keep every byte that their topic takes."""

from __future__ import annotations

import asyncio
import random

import pytest

from consumer.jobs import Record
from consumer.kafka.publisher import Publisher
from tests.integration.delivery.calls import ERROR, headers_of
from tests.integration.lab import Lab
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


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
        assert headers_of(raw)["f2f-truncated"] == str(size)


@pytest.mark.parametrize(
    "piece", [b"x" * 4096, b'{"x": 1.25, "name": "%d"}, '], ids=["same", "text"]
)
async def test_a_large_dead_letter_that_compresses_keeps_every_byte(
    lab: Lab, publisher: Publisher, piece: bytes
) -> None:
    numbered = (piece.replace(b"%d", b"%d" % n) for n in range(10 * 1024 * 1024 // len(piece)))
    value = b'{"audio_url": "' + b"".join(numbered) + b'"}'  # the topic takes 1 MB
    record = Record(lab.topics.requests, 0, 5, None, value, (), 0)
    await publisher.dead_letter(record, "j", ERROR, 1)
    dead = (await lab.read(lab.topics.dlq, 1))[0]
    assert (dead.key, dead.value) == (b"j", value), "a record without a key has its job's"
    assert "f2f-truncated" not in headers_of(dead)


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
        assert headers_of(raw)["f2f-error-code"] == "WORKER_CRASHED"
        assert "f2f-truncated" not in headers_of(raw)


async def test_the_first_dead_letters_find_connections_open_and_topics_known(
    lab: Lab, publisher: Publisher
) -> None:
    publisher.get_ready()
    known = await asyncio.wait_for(asyncio.gather(*publisher._pending), 120)
    assert known.count(True) == 2  # the ones for large letters
    assert publisher._line.producer is not None
    assert publisher._line.producer.client.cluster.partitions_for_topic(lab.topics.failed)
