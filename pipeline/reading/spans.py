"""Boxes of MP4 and MOV, and what lies in one another like them: where each begins and ends.

Nothing is demuxed here: libavformat knows more than its binding tells. ISO/IEC 14496-12 4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

MOST = 10_000
"""Boxes or elements in one that are looked through."""


class Span(NamedTuple):
    """A box or an element in a file: what it is, and where its content lies."""

    kind: int
    begin: int
    end: int


Walk = Callable[[BinaryIO, Span], Iterator[Span]]


def first(file: BinaryIO, parent: Span, walk: Walk, kind: int) -> Span:
    """The first of a kind in a parent.

    Raises:
        StopIteration: there is none.
        struct.error: the file ends before.
    """
    return next(every(file, parent, walk, kind))


def every(file: BinaryIO, parent: Span, walk: Walk, kind: int) -> Iterator[Span]:
    """Each of a kind in a parent, as a walk finds them."""
    return (span for span in walk(file, parent) if span.kind == kind)


def boxes(file: BinaryIO, parent: Span) -> Iterator[Span]:
    """The boxes in a parent, or in a file; of damaged ones those before."""
    place = parent.begin
    for _ in range(MOST):
        if place + 8 > parent.end:
            return
        size, kind = struct.unpack(">II", read(file, place, 8))
        head = 8
        if size == 1:
            size, head = int.from_bytes(read(file, place + 8, 8), "big"), 16
        end = parent.end if size == 0 else place + size
        if end < place + head:
            return
        yield Span(kind, place + head, min(end, parent.end))
        place = end


def read(file: BinaryIO, place: int, size: int) -> bytes:
    """So many bytes.

    Raises:
        struct.error: there are not so many.
    """
    file.seek(place)
    data = file.read(size)
    if len(data) < size:
        raise struct.error
    return data


def named(letters: bytes) -> int:
    """The kind of a box of this name."""
    return int.from_bytes(letters, "big")
