"""WAV whose header states less sound than there is.

Recorders write the size once they end, and not at all where their battery did; programs that speak
into a pipe write whatever they like. Sizes of 0, of all ones and beyond the file's end are taken
for unknown by libavformat, which reads on to the end then; a size too small it believes.
RIFF: Multimedia Programming Interface and Data Specifications 1.0, 2-1. RF64: EBU Tech 3306.
"""

from __future__ import annotations

import string
import struct
from pathlib import Path
from typing import BinaryIO

_UNKNOWN = 0xFFFFFFFF
_CHUNKS = 1000
_LEAST = 4096
"""Bytes behind the stated end that are worth a look."""
_BLOCK = 1024**2
_LARGE = (b"RF64", b"BW64")
"""Files of 4 GB and more, whose sizes stand in a chunk of their own."""
_LETTERS = frozenset((string.ascii_letters + string.digits + " _-.").encode())
"""What names of chunks are made of."""
_KNOWN = frozenset(
    {b"LIST", b"bext", b"iXML", b"axml", b"fact", b"smpl", b"cue ", b"data", b"id3 "}
)
"""Chunks that usually follow sound: such a one may be cut short."""
_TAGS = (b"ID3", b"APETAGEX", b"TAG")
"""How words begin that programs for music put behind files of any kind."""


def says_too_little(path: Path) -> bool:
    """Whether sound goes on behind the end that a WAV's header states.

    It does where something else follows than zeros, tags of music, and chunks, whose sizes lead
    from one to the next and to the end of the file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        end = _stated_end(file)
        if end is None or size - end < _LEAST:
            return False
        return not (
            any(_is_tag(file, at) or _is_chunks(file, at, size) for at in (end, end + 1))
            or _is_zeros(file, end)
        )


def _stated_end(file: BinaryIO) -> int | None:
    """Of the sound; None where the header states none."""
    file.seek(0)
    kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12))
    if kind not in (b"RIFF", *_LARGE) or form != b"WAVE":
        return None
    whole: int | None = None
    for _ in range(_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return None
        name, size = struct.unpack("<4sI", head)
        place = file.tell()
        if name == b"ds64":
            whole = int.from_bytes(file.read(16)[8:], "little")
        if name == b"data":
            if kind in _LARGE and whole is not None:
                return place + whole
            return None if size in (0, _UNKNOWN) else place + size
        file.seek(place + size + (size & 1))
    return None


def _is_chunks(file: BinaryIO, place: int, size: int) -> bool:
    """Whether chunks lead from a place to the end of the file."""
    file.seek(place)
    first = file.read(4)
    for _ in range(_CHUNKS):
        if place + 8 > size:
            break
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        if not _LETTERS.issuperset(name):
            return False
        place += 8 + length + (length & 1)
    return place <= size + 1 or first in _KNOWN


def _is_tag(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    return file.read(8).startswith(_TAGS)


def _is_zeros(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    while block := file.read(_BLOCK):
        if block.count(0) < len(block):
            return False
    return True
