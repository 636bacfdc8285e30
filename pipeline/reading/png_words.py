"""Compressed words beside the picture of a PNG, which libavcodec unpacks whole whatever their size.

A file of 1.5 MB took 4.5 GB so. ISO/IEC 15948 11.3.3.3 (iCCP), 11.3.4.3 (zTXt), 11.3.4.5 (iTXt).
"""

from __future__ import annotations

import zlib
from pathlib import Path

from pipeline.reading.picture_parts import png_chunks, unpacked

MOST_WORDS = 32 * 1024 * 1024
"""Bytes that all of them may unpack to; profiles of colour have 3 MB at most."""
_PACKED = (b"iCCP", b"zTXt", b"iTXt")


def words_too_large(path: Path) -> bool:
    """Whether a file is a PNG whose words unpack to more than `MOST_WORDS` bytes.

    Raises:
        OSError: it cannot be read.
    """
    left = MOST_WORDS
    with path.open("rb") as file:
        for kind, length in png_chunks(file):
            if kind in _PACKED:
                left -= _unpacked(file.read(min(length, MOST_WORDS)), left)
            if left < 0:
                return True
    return False


def _unpacked(chunk: bytes, most: int) -> int:
    """Bytes of a chunk's words, counted to a little more than `most`."""
    begin = chunk.find(b"\x78")  # RFC 1950: deflate with a window of 32 KB
    found = 0
    while begin >= 0:
        count = unpacked(zlib.decompressobj(), chunk[begin:], most)
        if count > most:
            return count
        found = max(found, count)
        begin = chunk.find(b"\x78", begin + 1, 256)
    return found
