"""Small picture files that keep a decoder at work for minutes, refused before one begins.

PNG: picture data beyond what the size needs are unpacked all the same (1.5 MB took 17 to 45 s),
and each text is compared with all others. JPEG: each scan of a progressive picture walks over all
of its blocks, and 30 bytes are a scan. ISO/IEC 15948 11.2; ITU-T T.81 B.1.1.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import MediaLimitExceeded
from pipeline.reading.picture_parts import JPEG, SCAN, png_chunks, unpacked
from schemas.codes import Stage

MOST_SCANS = 500
"""Of a JPEG; encoders write about ten."""
MOST_TEXTS = 10_000
"""Of a PNG; editors write some dozens."""
_SLACK = 1024**2
"""Bytes that are too many in many a PNG, and no harm."""
_STEP = 1024**2
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by colour type."""
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)
"""Behind entropy-coded data: neither a stuffed byte nor a restart."""
_END = 0xD9


def check_work(path: Path) -> None:
    """Refuse a PNG or JPEG that takes far more work than its size needs.

    Raises:
        MediaLimitExceeded: more scans, texts or picture data than any such picture has.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(JPEG)) == JPEG:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _check_jpeg(path, data)
        else:
            _check_png(path, file)


def _check_jpeg(path: Path, data: mmap.mmap) -> None:
    scans = sum(1 for mark in _markers(data) if mark == SCAN)
    if scans > MOST_SCANS:
        raise _too_much(path, "scans", scans, MOST_SCANS)


def _markers(data: mmap.mmap) -> Iterator[int]:
    """Up to the end of the picture: behind it phones keep films."""
    found = _MARKER.search(data, 2)
    while found is not None and found[0][1] != _END:
        yield found[0][1]
        after = found.end()
        length = int.from_bytes(data[after : after + 2], "big")
        found = _MARKER.search(data, after + length)


def _check_png(path: Path, file: BinaryIO) -> None:
    most, texts, count = 0, 0, 0
    unpacker = zlib.decompressobj()
    for kind, length in png_chunks(file):
        if kind == b"IHDR":
            most = _needed(file.read(13)) + _SLACK
        elif kind in _TEXTS:
            texts += 1
            if texts > MOST_TEXTS:
                raise _too_much(path, "texts", texts, MOST_TEXTS)
        elif kind == b"IDAT":
            count += _unpacked(unpacker, file, length, most - count)
            if count > most:
                raise _too_much(path, "bytes of picture data", count, most)


def _needed(header: bytes) -> int:
    """Bytes of all rows, twice: interlaced ones are more, and shorter."""
    if len(header) < 13:
        return 0
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    row = 1 + (width * depth * _SAMPLES.get(colour, 4) + 7) // 8
    return 2 * int(height) * int(row)


def _unpacked(unpacker: zlib._Decompress, file: BinaryIO, length: int, most: int) -> int:
    """Bytes that a chunk's data unpack to, counted to a little more than `most`."""
    count = 0
    for start in range(0, length, _STEP):
        rest = file.read(min(_STEP, length - start))
        if not rest:
            break
        count += unpacked(unpacker, rest, most - count)
    return count


def _too_much(path: Path, what: str, value: int, most: int) -> MediaLimitExceeded:
    return MediaLimitExceeded(
        f"{path.name} has {value} {what}, more than {most}; save the picture anew",
        stage=Stage.PROBE,
        limit=f"picture_{what.split()[0]}",
        value=value,
        max=most,
    )
