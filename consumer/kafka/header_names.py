"""Names of record headers in any bytes, as brokers take them.

Kafka stores a header's name as bytes and no broker looks at them; clients in Go or C write what
they are given. aiokafka 0.14 reads names as UTF-8 and raises `UnicodeDecodeError` out of a poll
where one is not, again and again: nobody would ever get past that record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT = 8
"""Where a batch says how many bytes follow that number."""
_BEFORE = 12


@cache
def forgive_header_names() -> None:
    """Let aiokafka's consumers in this process read such names, with `\\xff` for a stray byte."""
    assert fetcher.MemoryRecords is MemoryRecords, "aiokafka reads in another way now"
    fetcher.MemoryRecords = Records


class Records:
    """aiokafka's `MemoryRecords`, whose batches have forgiven names."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._records: Any = MemoryRecords(data)

    def has_next(self) -> bool:
        """True when a whole batch is left."""
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        """Of all batches, a cut one at the end included."""
        return int(self._records.size_in_bytes())

    def next_batch(self) -> Batch | None:
        """The next batch."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        (length,) = struct.unpack_from(">i", self._data, self._at + _LENGTH_AT)
        begin, self._at = self._at, self._at + _BEFORE + length
        return Batch(batch, memoryview(self._data)[begin : self._at])


class Batch:
    """A batch that is read by aiokafka's quick reader, and by a forgiving one where that fails."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data
        self._taken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        iter(self._batch)  # decompresses
        return self

    def __next__(self) -> Any:
        try:
            record = next(self._batch)
        except (UnicodeDecodeError, CorruptRecordException):  # the latter of its reader in Python
            self._batch = _forgiving(self._data)
            for _ in range(self._taken):
                next(self._batch)
            record = next(self._batch)
        self._taken += 1
        return record


class _Bytes(bytearray):
    """Bytes whose parts are decoded without complaint."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "") -> str:
        return super().decode(encoding, "backslashreplace")


def _forgiving(data: memoryview) -> Any:
    batch: Any = default_records._DefaultRecordBatchPy(data)
    iter(batch)
    batch._buffer = _Bytes(batch._buffer)
    return batch
