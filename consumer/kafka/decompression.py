"""A bound on what a compressed batch of records may expand to.

Brokers bound the compressed size only, and a batch of 3 KB can hold a record of 100 MB: whoever
reads it whole dies of it, and so does the replica that takes its partition next. aiokafka 0.14
decompresses a whole batch at once and has no limit of its own.
"""

from __future__ import annotations

import gzip
import io
import mmap
import struct
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from aiokafka.codec import snappy_decode
from aiokafka.errors import KafkaError

MOST_BYTES = 32 * 1024 * 1024
"""Three records of 10 MB, the largest that are promised a dead letter with every byte."""
_READERS = (
    "aiokafka.record.default_records",
    "aiokafka.record.legacy_records",
    "aiokafka.record._crecords.default_records",
    "aiokafka.record._crecords.legacy_records",
)
"""Each has the decoders as names of its own."""


class BatchTooLarge(KafkaError):  # type: ignore[misc]
    """A batch cannot be read: it expands to more than `MOST_BYTES`, or is broken."""

    def __init__(self, codec: str, size: int) -> None:
        super().__init__(
            f"a batch of {size} bytes ({codec}) expands to more than {MOST_BYTES} bytes, or cannot "
            "be decompressed; send smaller records in smaller batches"
        )


@cache
def bound_batches() -> None:
    """Let aiokafka's consumers in this process read no batch that expands further.

    A consumer's calls then raise `BatchTooLarge`.
    """
    import cramjam

    decoders: dict[str, Callable[[Any], bytes]] = {
        "gzip_decode": _gunzip,
        "snappy_decode": _unsnappy,
        "lz4_decode": lambda data: _into(cramjam.lz4.decompress_into, "lz4", data),
        "zstd_decode": lambda data: _into(cramjam.zstd.decompress_into, "zstd", data),
    }
    for name in _READERS:
        try:
            module = import_module(name)
        except ImportError:  # no compiled reader on this platform
            continue
        for decoder, bounded in decoders.items():
            known = hasattr(module, decoder)
            assert known or "legacy" in name, f"{name} decompresses in another way now"
            if known:  # the old format knows no zstd
                setattr(module, decoder, bounded)


def _gunzip(data: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data), mode="rb") as file:
        try:
            expanded = file.read(MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise BatchTooLarge("gzip", len(data)) from error
    if len(expanded) > MOST_BYTES:
        raise BatchTooLarge("gzip", len(data))
    return expanded


def _unsnappy(data: Any) -> bytes:
    """Snappy needs no bound, as it expands to 21 times its size at most; it may be broken, though.

    Or be several streams in a row, which brokers take and aiokafka does not.
    """
    from cramjam import DecompressionError

    try:
        return bytes(snappy_decode(data))
    except (DecompressionError, struct.error) as error:
        raise BatchTooLarge("snappy", len(data)) from error


def _into(decompress: Callable[[Any, Any], int], codec: str, data: Any) -> bytes:
    """Decompress into pages that the kernel gives only as they are written to."""
    from cramjam import DecompressionError

    with mmap.mmap(-1, MOST_BYTES) as room:
        try:
            size = decompress(data, room)
        except DecompressionError as error:
            raise BatchTooLarge(codec, len(data)) from error
        return room[:size]
