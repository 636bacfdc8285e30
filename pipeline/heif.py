"""Photographs that phones cut into tiles (HEIC, AVIF): one grid of small pictures in a file.

libavformat gives each tile as a stream of its own, whose id is the tile's item, and leaves how they
lie to its caller. Boxes: ISO/IEC 14496-12 8.11, grid and turns: ISO/IEC 23008-12 6.6.2.3 and 6.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

MOST = 1024
"""Tiles that a photograph may have; those of 48 megapixels have 192."""
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif")
_META_BYTES = 4 * 1024**2
"""A phone's takes some kilobytes."""
_GRID_BYTES = 12
_TURNS = ((), ("transpose=cclock",), ("hflip", "vflip"), ("transpose=clock",))
_MIRRORS = ("vflip", "hflip")


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a photograph is put together."""

    columns: int
    rows: int
    width: int
    """Of the whole, before it is turned, px; the last column and row may reach beyond."""
    height: int
    items: tuple[int, ...]
    """Ids of the tiles, row by row."""
    turns: tuple[str, ...]
    """Filters of libavfilter that bring it upright, in this order."""


def is_photograph(path: Path) -> bool:
    """Whether a file says that it is HEIC or AVIF, and no film."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def tiles_of(path: Path) -> Tiles | None:
    """The tiles of a photograph; None where a file is no such photograph, or damaged."""
    if not is_photograph(path):
        return None
    try:
        with path.open("rb") as file:
            for kind, size in _boxes(file, path.stat().st_size):
                if kind == b"meta":
                    return _tiles(file.read(size), file) if size <= _META_BYTES else None
    except (struct.error, KeyError, IndexError, ValueError):
        pass
    return None


def _boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int]]:
    """Kind and size of each box's body, at which the file stands meanwhile."""
    while (start := file.tell()) + 8 <= end:
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        body = file.tell()
        stop = end if size == 0 else min(end, start + size)
        if stop < body:
            return
        yield kind, stop - body
        file.seek(stop)


def _children(body: bytes, skip: int = 0) -> list[tuple[bytes, bytes]]:
    file = BytesIO(body)
    file.seek(skip)
    return [(kind, file.read(size)) for kind, size in _boxes(file, len(body))]


def _tiles(meta: bytes, file: BinaryIO) -> Tiles | None:
    parts = dict(_children(meta, 4))
    wide = parts[b"pitm"][0]
    primary = _number(parts[b"pitm"], 4, 4 if wide else 2)
    if _kind(parts[b"iinf"], primary) != b"grid":
        return None
    grid = _grid(parts, primary, file)
    rows, columns = grid[2] + 1, grid[3] + 1
    width, height = struct.unpack_from(">II" if grid[1] & 1 else ">HH", grid, 4)
    items = _references(parts[b"iref"], primary)
    if rows * columns > min(len(items), MOST) or not width * height:
        return None
    return Tiles(
        columns,
        rows,
        width,
        height,
        items[: rows * columns],
        _turns(parts[b"iprp"], primary),
    )


def _number(data: bytes, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise IndexError(offset)
    return int.from_bytes(data[offset : offset + size], "big")


def _kind(iinf: bytes, item: int) -> bytes | None:
    for _, entry in _children(iinf, 8 if iinf[0] else 6):
        size = 4 if entry[0] > 2 else 2
        if _number(entry, 4, size) == item:
            return entry[6 + size : 10 + size]
    return None


def _grid(parts: dict[bytes, bytes], item: int, file: BinaryIO) -> bytes:
    """The grid's own bytes: in the box idat, or somewhere in the file."""
    iloc = parts[b"iloc"]
    version, sizes, at = iloc[0], _number(iloc, 4, 2), 6
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    id_size = 4 if version > 1 else 2
    count, at = _number(iloc, at, id_size), at + id_size
    for _ in range(count):
        found, at = _number(iloc, at, id_size), at + id_size
        inside = version > 0 and _number(iloc, at, 2) & 15 == 1
        at += 4 if version else 2
        base, at = _number(iloc, at, base_size), at + base_size
        extents, at = _number(iloc, at, 2), at + 2
        offset = base + _number(iloc, at + index_size, offset_size)
        if found == item:
            if inside:
                return parts[b"idat"][offset:]
            file.seek(offset)
            return file.read(_GRID_BYTES)
        at += extents * (index_size + offset_size + length_size)
    raise KeyError(item)


def _references(iref: bytes, item: int) -> tuple[int, ...]:
    size = 4 if iref[0] else 2
    for kind, body in _children(iref, 4):
        if kind == b"dimg" and _number(body, 0, size) == item:
            count, start = _number(body, size, 2), size + 2
            return tuple(_number(body, start + n * size, size) for n in range(count))
    raise KeyError(item)


def _turns(iprp: bytes, item: int) -> tuple[str, ...]:
    boxes = _children(iprp)
    properties = _children(dict(boxes)[b"ipco"])
    turns: list[str] = []
    for number in _associated(dict(boxes)[b"ipma"], item):
        kind, body = properties[number - 1]
        if kind == b"irot":
            turns.extend(_TURNS[body[0] & 3])
        elif kind == b"imir":
            turns.append(_MIRRORS[body[0] & 1])
    return tuple(turns)


def _associated(ipma: bytes, item: int) -> list[int]:
    """Numbers of an item's properties, from 1 on."""
    id_size, size = (4 if ipma[0] else 2), (2 if ipma[3] & 1 else 1)
    count, at = _number(ipma, 4, 4), 8
    for _ in range(count):
        found, many = _number(ipma, at, id_size), _number(ipma, at + id_size, 1)
        at += id_size + 1
        if found == item:
            essential = 1 << (8 * size - 1)
            return [_number(ipma, at + n * size, size) % essential for n in range(many)]
        at += many * size
    return []
