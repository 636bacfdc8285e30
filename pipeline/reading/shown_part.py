"""Which part of a film's pictures is shown, where its container says that it is not all of them.

Players show that part alone; libavformat knows it, and its binding does not tell. Here nothing is
demuxed: one element is looked up, and what cannot be found is not there.
MP4 and MOV: `clap`, ISO/IEC 14496-12 12.1.4. Matroska: PixelCrop, RFC 9559 5.1.4.1.28.8 to .11.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.reading.spans import MOST, Span, boxes, every, first, named, read

_ENTRY_HEAD = 78
"""Bytes of a picture's sample entry before the boxes in it; its size stands at 24."""
_SEGMENT, _TRACKS, _CLUSTER, _TRACK = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE
_KIND, _VIDEO, _WIDE, _HIGH = 0x83, 0xE0, 0xB0, 0xBA
_LEFT, _TOP, _RIGHT, _BOTTOM = 0x54CC, 0x54BB, 0x54DD, 0x54AA


class Margins(NamedTuple):
    """Pixels at each side of a coded picture that are not shown."""

    left: int
    top: int
    right: int
    bottom: int

    def within(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is shown of a picture."""
        return width - self.left - self.right, height - self.top - self.bottom


class _Told(NamedTuple):
    """What a container says."""

    size: tuple[int, int]
    """Of a coded picture."""
    margins: Margins


_NONE = _Told((0, 0), Margins(0, 0, 0, 0))


def margins_of(container: InputContainer, stream: VideoStream) -> Margins | None:
    """What is not shown of a stream's pictures, as they are coded; None where all is.

    Margins of pictures of another size than the stream has are not heeded: some muxers tell the
    size on a screen, or that of whole blocks, and the decoder has cut off those already.

    Raises:
        OSError: the file cannot be read.
    """
    read = {"mov,mp4,m4a,3gp,3g2,mj2": _in_mov, "matroska,webm": _in_matroska}.get(
        container.format.name
    )
    if read is None:
        return None
    found = _NONE
    number = [s.index for s in container.streams.video].index(stream.index)
    with Path(container.name.removeprefix("file:")).open("rb") as file:
        whole = Span(0, 0, file.seek(0, 2))
        with suppress(struct.error, ZeroDivisionError, StopIteration):
            found = read(file, whole, number)
    size = stream.codec_context.width, stream.codec_context.height
    margins = found.margins
    sane = found.size == size and min(margins) >= 0 and min(margins.within(*size)) >= 2
    return margins if sane and any(margins) else None


def _in_mov(file: BinaryIO, whole: Span, number: int) -> _Told:
    moov = first(file, whole, boxes, named(b"moov"))
    films = []
    for track in every(file, moov, boxes, named(b"trak")):
        media = first(file, track, boxes, named(b"mdia"))
        handler = first(file, media, boxes, named(b"hdlr"))
        if read(file, handler.begin + 8, 4) == b"vide":
            films.append(media)
    span = films[number] if number < len(films) else whole
    for name in (b"minf", b"stbl", b"stsd"):
        span = first(file, span, boxes, named(name))
    entry = next(boxes(file, span._replace(begin=span.begin + 8)))
    width, height = struct.unpack(">HH", read(file, entry.begin + 24, 4))
    inside = entry._replace(begin=entry.begin + _ENTRY_HEAD)
    clap = first(file, inside, boxes, named(b"clap"))
    numbers = struct.unpack(">IIIIiIiI", read(file, clap.begin, 32))
    wide, high, right, down = (Fraction(*numbers[n : n + 2]) for n in range(0, 8, 2))
    left, top = (width - wide) / 2 + right, (height - high) / 2 + down
    sides = (left, top, width - wide - left, height - high - top)
    return _Told((width, height), Margins(*map(round, sides)))


def _in_matroska(file: BinaryIO, whole: Span, number: int) -> _Told:
    segment = first(file, whole, _elements, _SEGMENT)
    tracks = first(file, segment, _elements, _TRACKS)
    films = []
    for track in every(file, tracks, _elements, _TRACK):
        kind = first(file, track, _elements, _KIND)
        if _value(file, kind) == 1:
            films.append(first(file, track, _elements, _VIDEO))
    told = {s.kind: s for s in _elements(file, films[number])} if number < len(films) else {}
    wanted = (_WIDE, _HIGH, _LEFT, _TOP, _RIGHT, _BOTTOM)
    wide, high, *sides = (_value(file, told[n]) if n in told else 0 for n in wanted)
    return _Told((wide, high), Margins(*sides))


def _elements(file: BinaryIO, parent: Span) -> Iterator[Span]:
    """RFC 8794 6: up to the first pictures, behind which nothing is looked for."""
    place = parent.begin
    for _ in range(MOST):
        if place >= parent.end:
            return
        kind, at = _number(file, place, keep_mark=True)
        size, begin = _number(file, at, keep_mark=False)
        if kind == _CLUSTER:
            return
        unknown = size == (1 << 7 * (begin - at)) - 1
        end = parent.end if unknown else min(begin + size, parent.end)
        yield Span(kind, begin, end)
        place = end


def _number(file: BinaryIO, place: int, *, keep_mark: bool) -> tuple[int, int]:
    """A number of EBML's, and where what follows it begins.

    Raises:
        struct.error: there is none.
    """
    lead = read(file, place, 1)[0]
    length = 9 - lead.bit_length()
    if length > 8:
        raise struct.error
    value = int.from_bytes(read(file, place, length), "big")
    return value if keep_mark else value & ~(1 << 7 * length), place + length


def _value(file: BinaryIO, span: Span) -> int:
    return int.from_bytes(read(file, span.begin, min(8, span.end - span.begin)), "big")
