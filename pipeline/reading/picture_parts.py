"""What picture files are made of: the chunks of a PNG, the segments of a JPEG.

ISO/IEC 15948 5.3; ITU-T T.81 B.1.1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
"""How such files begin."""
MOST_BEFORE = 1000
"""Chunks or segments that are looked through before a picture's data."""
SCAN = 0xDA
_STEP = 1024**2
_LONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0 to RST7, SOI."""


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length in bytes of each chunk; meanwhile the file stands at its data.

    None at all where it is no PNG; ends where the file does.
    """
    file.seek(0)
    if file.read(len(PNG)) != PNG:
        return
    place = len(PNG)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        yield head[4:], length
        place += 8 + length + 4  # a checksum follows the data
        file.seek(place)


def unpacked(unpacker: zlib._Decompress, data: bytes, most: int) -> int:
    """Bytes that packed data unpack to, up to a defect; counted to a little more than `most`."""
    count = 0
    try:
        while data and not unpacker.eof and count <= most:
            count += len(unpacker.decompress(data, _STEP))
            data = unpacker.unconsumed_tail
    except zlib.error:
        return count
    return count


def png_head(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """`png_chunks` before the picture's data."""
    for kind, length in islice(png_chunks(file), MOST_BEFORE):
        if kind == b"IDAT":
            return
        yield kind, length


def jpeg_head(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Marker and length of each segment before the first scan; the file stands at its body.

    The length is the body's, in bytes. None at all where it is no JPEG; ends where the file does,
    or is none any more.
    """
    file.seek(0)
    if file.read(len(JPEG)) != JPEG:
        return
    place = 2
    for _ in range(MOST_BEFORE):
        file.seek(place)
        mark = file.read(2)
        if len(mark) < 2 or mark[0] != 0xFF or mark[1] == SCAN:
            return
        if mark[1] == 0xFF:  # fill byte
            place += 1
            continue
        place += 2
        if mark[1] in _LONE:
            continue
        length = int.from_bytes(file.read(2), "big")
        if length < 2:  # it counts its own two bytes
            return
        yield mark[1], length - 2
        place += length
