"""Width and height that a picture file claims, read from its header before any decoder sees it.

libavcodec, told to refuse large pictures, does not say how large they are.
PNG: ISO/IEC 15948 11.2.2. JPEG: ITU-T T.81 B.2.2. BMP: BITMAPINFOHEADER. GIF89a section 18.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from pipeline.reading.picture_parts import PNG, jpeg_head, png_head

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers SOF0 to SOF15 without DHT, JPG and DAC."""


def claimed_size(path: Path) -> tuple[int, int] | None:
    """(width, height), or None where the file is of no such kind or ends too early."""
    with path.open("rb") as file:
        head = file.read(26)
        if len(head) < 26:
            return None
        if head.startswith(PNG[:4]):
            return _pair(">II", head, 16)
        if head.startswith(b"GIF8"):
            return _pair("<HH", head, 6)
        if head.startswith(b"BM"):
            width, height = _pair("<ii", head, 18)
            return abs(width), abs(height)
        return _jpeg(file)


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP of several pictures, which libavcodec does not decode (RFC 9649)."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def is_animated_png(path: Path) -> bool:
    """Whether a file is a PNG of several pictures (`acTL`, W3C PNG 11.3.6.1)."""
    with path.open("rb") as file:
        return any(
            kind == b"acTL" and int.from_bytes(file.read(4), "big") > 1
            for kind, _ in png_head(file)
        )


def _pair(layout: str, data: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, offset)
    return int(first), int(second)


def _jpeg(file: BinaryIO) -> tuple[int, int] | None:
    for marker, _ in jpeg_head(file):
        if marker in _FRAME_HEADERS:
            body = file.read(5)
            if len(body) < 5:
                return None
            height, width = _pair(">HH", body, 1)
            return width, height
    return None
