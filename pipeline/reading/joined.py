"""Recordings put one behind the other (`cat a.mp4 b.mp4`) of which only the first is read.

Transport streams, MPEG, AVI and MXF are read as one, Matroska by its times (`splices`).
"""

from __future__ import annotations

import mmap
import struct
from contextlib import suppress
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import BinaryIO

from pipeline.reading.spans import Span, boxes, every, first, named, read

_FLV = b"FLV\x01"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
_HEADS = {_FLV: 13, _ASF: 16}
"""Bytes with which such files begin, and how many of them come again where another one begins."""
_BEGINS = (b"ftyp", b"moov")
"""Boxes with which films in MP4 and MOV begin that can be joined."""
_INDEX, _FRAGMENT = named(b"moov"), named(b"moof")


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
        return head[4:8] in _BEGINS and _begins_anew(file, named(head[4:8]))


def _begins_anew(file: BinaryIO, beginning: int) -> bool:
    """Whether behind a film comes another one, with a beginning and an index of its own.

    An index alone is a copy. Fragments with a beginning before each of them are read as one, as
    long as their times go on.
    """
    whole = Span(0, 0, file.seek(0, 2))
    begun = 0
    starts: list[float | None] = []
    """When the fragments behind each index begin; None where there are none."""
    with suppress(struct.error, StopIteration):
        for box in boxes(file, whole):
            begun += box.kind == beginning
            if box.kind == _INDEX and len(starts) < begun:
                starts.append(None)
            elif box.kind == _FRAGMENT and starts and starts[-1] is None:
                starts[-1] = _start(file, box)
    return any(a is None or b is None or b <= a < inf for a, b in pairwise(starts))


def _start(file: BinaryIO, fragment: Span) -> float:
    """In ticks of its first track; infinite where none is told, and the times go on."""
    track = first(file, fragment, boxes, named(b"traf"))
    told = next(every(file, track, boxes, named(b"tfdt")), None)
    if told is None:
        return inf
    version = read(file, told.begin, 1)[0]
    return int.from_bytes(read(file, told.begin + 4, 8 if version else 4), "big")
