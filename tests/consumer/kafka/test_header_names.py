"""Headers whose names are no UTF-8."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record import default_records

from consumer.kafka.header_names import forgive_header_names

RAW = b"x-caf\xe9"
READ = "x-caf\\xe9"


class RawName(str):
    """A name that is written as it is in Latin-1."""

    def encode(self, *_: Any) -> bytes:
        return RAW


def batch(base: int, records: list[tuple[bytes, str]], codec: int = 0) -> bytes:
    """A batch of records by their values and the names of their second headers."""
    builder = default_records._DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, -1, 1 << 20)
    for offset, (value, name) in enumerate(records):
        builder.append(offset, 1000, b"key", value, [("first", b"1"), (name, b"2")])
    built = builder.build()
    built[:8] = base.to_bytes(8, "big")  # as the broker does; no part of the checksum
    return bytes(built)


@pytest.mark.parametrize("codec", [0, 1, 4], ids=["plain", "gzip", "zstd"])
def test_records_are_read_whatever_bytes_the_names_of_their_headers_are(codec: int) -> None:
    forgive_header_names()
    odd = batch(8, [(b"b", "fine"), (b"c", RawName()), (b"d", RawName())], codec)
    data = batch(7, [(b"a", "fine")]) + odd + batch(11, [(b"e", "fine")])
    records = fetcher.PartitionRecords(
        TopicPartition("t", 0),
        fetcher.MemoryRecords(data + data[:40]),
        None,
        7,
        None,
        None,
        True,
        1,
    )
    read = [(r.offset, r.key, r.value, r.timestamp, r.headers[1]) for r in records]
    assert read == [
        (7, b"key", b"a", 1000, ("fine", b"2")),
        (8, b"key", b"b", 1000, ("fine", b"2")),
        (9, b"key", b"c", 1000, (READ, b"2")),
        (10, b"key", b"d", 1000, (READ, b"2")),
        (11, b"key", b"e", 1000, ("fine", b"2")),
    ]
