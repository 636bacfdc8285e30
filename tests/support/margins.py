"""Film whose container says that a part of each picture is not shown."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av

_HOLDERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})


def with_clap(path: Path, margins: tuple[int, int, int, int], size: tuple[int, int]) -> Path:
    """An MP4 with its index behind its pictures, that gets a clean aperture; in place.

    Args:
        path: of the MP4.
        margins: left, top, right and bottom pixels that are not shown.
        size: of the coded picture.
    """
    left, top, right, bottom = margins
    wide, high = size[0] - left - right, size[1] - top - bottom
    places = (wide, 1, high, 1, left - right, 2, top - bottom, 2)
    path.write_bytes(_rebuilt(path.read_bytes(), _box(b"clap", struct.pack(">IIIIiIiI", *places))))
    return path


def remuxed(source: Path, path: Path) -> Path:
    """The same pictures in another container, which the muxer tells what is shown."""
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return path


def _rebuilt(data: bytes, clap: bytes) -> bytes:
    made = b""
    for kind, body in _boxes(data):
        if kind in _HOLDERS:
            body = _rebuilt(body, clap)
        if kind == b"stsd":
            ((entry, inside),) = _boxes(body[8:])
            body = body[:8] + _box(entry, inside + clap)
        made += _box(kind, body)
    return made


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + size]
        place += size


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body
