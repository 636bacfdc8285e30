"""Recordings put one behind the other (`cat a.mp4 b.mp4`) of which only the first is read.

Transport streams, MPEG, AVI and MXF are read as one, Matroska by its times (`splices`).
"""

from __future__ import annotations

import mmap
import struct
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pipeline.reading.spans import Span, boxes, every, named

_FLV = b"FLV\x01"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
_HEADS = {_FLV: 13, _ASF: 16}
"""Bytes with which such files begin, and how many of them come again where another one begins."""


def joined_warnings(audio: Path, video: Path) -> list[str]:
    """What a report says of inputs that hold more recordings than the one that is read."""
    return [
        f"the {name} holds several recordings one behind the other, of which only the first is "
        "read; join them with a video editor or a converter"
        for name, path in (("speech", audio), ("reference", video))
        if _is_joined(path)
    ]


def _is_joined(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16)
        for begin, count in _HEADS.items():
            if head.startswith(begin):
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    return data.find(head[:count], count) >= 0
        return head[4:8] in (b"ftyp", b"moov") and _has_two_indexes(file)


def _has_two_indexes(file: BinaryIO) -> bool:
    whole = Span(0, 0, file.seek(0, 2))
    found: list[Span] = []
    with suppress(struct.error):
        found = [*islice(every(file, whole, boxes, named(b"moov")), 2)]
    return len(found) == 2
