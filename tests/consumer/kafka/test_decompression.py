"""The bound on what a compressed batch may expand to."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record import default_records, legacy_records
from aiokafka.record._crecords import default_records as compiled
from aiokafka.record._crecords import legacy_records as compiled_legacy

from consumer.kafka.decompression import MOST_BYTES, BatchTooLarge, bound_batches

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
READERS = {"compiled": compiled, "python": default_records}
READER_NAMES = {
    "compiled": "DefaultRecordBatch",
    "python": "_DefaultRecordBatchPy",
}


def _batch(codec: str, *values: bytes) -> bytes:
    builder = compiled.DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, -1, 1 << 30)
    for offset, value in enumerate(values):
        assert builder.append(offset, 0, b"key", value, []) is not None
    return bytes(builder.build())


def _read(reader: str, data: bytes) -> list[bytes]:
    bound_batches()
    batch: Any = getattr(READERS[reader], READER_NAMES[reader])(bytearray(data))
    return [record.value for record in batch]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_of_a_usual_size_is_read_as_it_was_sent(reader: str, codec: str) -> None:
    values = [b"x" * 3_000_000, b"", bytes(range(256)) * 100]
    assert _read(reader, _batch(codec, *values)) == values


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_expands_past_the_limit_is_not_read(reader: str, codec: str) -> None:
    bomb = _batch(codec, b"x" * (MOST_BYTES + 1))
    assert len(bomb) < MOST_BYTES / 100
    with pytest.raises(BatchTooLarge, match=f"{codec}.*more than {MOST_BYTES} bytes"):
        _read(reader, bomb)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_is_broken_is_an_error_of_the_same_kind(reader: str, codec: str) -> None:
    whole = _batch(codec, bytes(range(256)) * 400)
    for broken in (whole[: len(whole) // 2] + b"\0" * 40, whole[:-1]):
        with pytest.raises(BatchTooLarge, match=codec):
            _read(reader, broken)


LEGACY_READERS = {
    "compiled": compiled_legacy.LegacyRecordBatch,
    "python": legacy_records._LegacyRecordBatchPy,
}


def _legacy(codec: str, value: bytes) -> bytes:
    """A batch in the format of Kafka before 0.11, which old topics still hold."""
    builder = compiled_legacy.LegacyRecordBatchBuilder(1, CODECS[codec], 1 << 30)
    assert builder.append(0, 0, b"key", value) is not None
    return bytes(builder.build())


def _read_legacy(reader: str, data: bytes) -> list[bytes]:
    bound_batches()
    batch: Any = LEGACY_READERS[reader](bytearray(data), 1)
    return [record.value for record in batch]


@pytest.mark.parametrize("reader", LEGACY_READERS)
@pytest.mark.parametrize("codec", ["gzip", "snappy"])
def test_a_batch_in_the_old_format_is_read_as_it_was_sent(reader: str, codec: str) -> None:
    assert _read_legacy(reader, _legacy(codec, b"x" * 300_000)) == [b"x" * 300_000]


@pytest.mark.parametrize("reader", LEGACY_READERS)
def test_a_batch_in_the_old_format_is_bounded_as_any_other(reader: str) -> None:
    with pytest.raises(BatchTooLarge, match=f"gzip.*more than {MOST_BYTES} bytes"):
        _read_legacy(reader, _legacy("gzip", b"x" * (MOST_BYTES + 1)))
