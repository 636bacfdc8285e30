"""Width and height that a picture file claims, read from its header before any decoder sees it.

libavcodec, told to refuse large pictures, does not say how large they are.
PNG: ISO/IEC 15948 11.2.2. JPEG: ITU-T T.81 B.2.2. BMP: BITMAPINFOHEADER. GIF89a section 18.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers SOF0 to SOF15 without DHT, JPG and DAC."""
_LONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0 to RST7, SOI."""
_SEGMENTS = 1000


def claimed_size(path: Path) -> tuple[int, int] | None:
    """(width, height), or None where the file is of no such kind or ends too early."""
    with path.open("rb") as file:
        head = file.read(26)
        if len(head) < 26:
            return None
        if head.startswith(b"\x89PNG"):
            return _pair(">II", head, 16)
        if head.startswith(b"GIF8"):
            return _pair("<HH", head, 6)
        if head.startswith(b"BM"):
            width, height = _pair("<ii", head, 18)
            return abs(width), abs(height)
        if head.startswith(b"\xff\xd8\xff"):
            file.seek(2)
            return _jpeg(file)
    return None


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP of several pictures, which libavcodec does not decode (RFC 9649)."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def is_animated_png(path: Path) -> bool:
    """Whether a file is a PNG of several pictures (`acTL`, W3C PNG 11.3.6.1)."""
    with path.open("rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return False
        for _ in range(_SEGMENTS):
            head = file.read(8)
            if len(head) < 8 or head[4:] == b"IDAT":
                return False
            if head[4:] == b"acTL":
                return int.from_bytes(file.read(4), "big") > 1
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


def _pair(layout: str, data: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, offset)
    return int(first), int(second)


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    for _ in range(_SEGMENTS):
        mark = file.read(2)
        if len(mark) < 2 or mark[0] != 0xFF:
            return None
        if mark[1] == 0xFF:  # fill byte
            file.seek(-1, 1)
            continue
        if mark[1] in _LONE:
            continue
        body = file.read(7)
        if len(body) < 7:
            return None
        if mark[1] in _FRAME_HEADERS:
            height, width = _pair(">HH", body, 3)
            return width, height
        (length,) = struct.unpack_from(">H", body)
        file.seek(length - 7, 1)
    return None
