"""Writes a HEIC photograph as phones do: a grid of tiles, a thumbnail, and a turn."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.support import light

_TURN = 4
"""Its place among the properties, from 1."""


def write_tiled(
    path: Path,
    picture: NDArray[np.uint8],
    side: int,
    quarters: int,
    samples: str = "yuvj420p",
    transfer: int | None = None,
) -> Path:
    """A photograph of a (H, W, 3) picture in square tiles.

    Args:
        path: where to.
        picture: as it is coded; the viewer turns it.
        side: of a tile, px.
        quarters: turns counterclockwise that bring it upright.
        samples: libavutil's name of how they are coded, such as `gray10le`.
        transfer: draws it in BT.2020 and this curve (`tests.support.light`), and says so.
    """
    height, width = picture.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    padding = ((0, rows * side - height), (0, columns * side - width), (0, 0))
    padded = np.pad(picture, padding, "edge")
    parts = [
        _coded(padded[side * y : side * (y + 1), side * x : side * (x + 1)], samples, transfer)
        for y in range(rows)
        for x in range(columns)
    ]
    # The thumbnail, never to be taken.
    parts.append(_coded(padded[:side, :side] // 2, samples, transfer))
    properties = [
        parts[0][0],
        _full(b"ispe", 0, struct.pack(">II", side, side)),
        _full(b"ispe", 0, struct.pack(">II", width, height)),
        _box(b"irot", bytes([quarters])),
    ]
    if transfer is not None:
        words = struct.pack(">HHHB", light.BT2020, transfer, light.BT2020, 0)
        properties.append(_box(b"colr", b"nclx" + words))
    items = _Items(
        [len(data) for _, data in parts],
        struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height),
        properties,
    )
    kind = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    data = b"".join(data for _, data in parts)
    behind = len(kind) + len(items.meta(0)) + 8
    path.write_bytes(kind + items.meta(behind) + _box(b"mdat", data))
    return path


class _Items:
    """The items of a file: tiles from 1 on, the thumbnail, and the grid, which is the picture.

    Args:
        sizes: bytes of the tiles and the thumbnail, which lie one behind the other.
        layout: what the grid's item says.
        properties: coder, size of a tile, size of the picture, turn, and colours where it has some.
    """

    def __init__(self, sizes: list[int], layout: bytes, properties: list[bytes]) -> None:
        self._sizes = sizes
        self._layout = layout
        self._properties = properties
        self._tiles = len(sizes) - 1
        self._thumbnail, self._grid = len(sizes), len(sizes) + 1

    def meta(self, start: int) -> bytes:
        """The box `meta`, for data that begins at a byte of the file."""
        return _full(
            b"meta",
            0,
            _full(b"hdlr", 0, bytes(4) + b"pict" + bytes(13)),
            _full(b"pitm", 0, struct.pack(">H", self._grid)),
            self._places(start),
            self._kinds(),
            self._references(),
            _box(b"iprp", _box(b"ipco", *self._properties), self._owners()),
            _box(b"idat", self._layout),
        )

    def _places(self, start: int) -> bytes:
        places = []
        for number, size in enumerate(self._sizes, 1):
            places.append(struct.pack(">HHHHII", number, 0, 0, 1, start, size))
            start += size
        places.append(struct.pack(">HHHHII", self._grid, 1, 0, 1, 0, len(self._layout)))
        return _full(b"iloc", 1, struct.pack(">BBH", 0x44, 0, len(places)), *places)

    def _kinds(self) -> bytes:
        kinds = [(n, b"hvc1") for n in range(1, self._grid)] + [(self._grid, b"grid")]
        entries = [_full(b"infe", 2, struct.pack(">HH4sB", n, 0, k, 0)) for n, k in kinds]
        return _full(b"iinf", 0, struct.pack(">H", len(kinds)), *entries)

    def _references(self) -> bytes:
        tiles = range(1, self._tiles + 1)
        ids = struct.pack(f">{self._tiles + 2}H", self._grid, self._tiles, *tiles)
        shown = struct.pack(">HHH", self._thumbnail, 1, self._grid)
        return _full(b"iref", 0, _box(b"dimg", ids), _box(b"thmb", shown))

    def _owners(self) -> bytes:
        """Which properties each item has, from 1; the high bit says that it is essential."""
        owned = [(n, b"\x81\x02") for n in range(1, self._grid)] + [(self._grid, b"\x03\x84")]
        told = b"\x05" if len(self._properties) > _TURN else b""  # the colours
        entries = [struct.pack(">HB", n, len(p + told)) + p + told for n, p in owned]
        return _full(b"ipma", 0, struct.pack(">I", len(owned)), *entries)


def _coded(picture: NDArray[np.uint8], samples: str, transfer: int | None) -> tuple[bytes, bytes]:
    """Its box hvcC, and the picture itself."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx265", rate=25, options={"crf": "4", "x265-params": "log-level=none:bframes=0"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = samples
        stream.codec_context.codec_tag = "hvc1"
        if transfer is None:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame = frame.reformat(format=samples)
        else:
            frame = av.VideoFrame.from_ndarray(light.in_light(picture, transfer), "rgb48le")
            frame = frame.reformat(format=samples, dst_colorspace=light.BT2020, dst_color_range=1)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = file.getvalue()
    at = whole.index(b"hvcC") - 4
    (size,) = struct.unpack_from(">I", whole, at)
    data = whole.index(b"mdat")
    (length,) = struct.unpack_from(">I", whole, data - 4)
    return whole[at : at + size], whole[data + 4 : data - 4 + length]


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, version: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24), *parts)
