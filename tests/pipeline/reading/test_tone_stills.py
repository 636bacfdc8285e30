"""Photographs of high dynamic range look as on an ordinary screen.

So do those with a map of what brighter screens may add.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.heif import write_tiled
from tests.support.light import BT2020, BT2020_SDR, HLG, PQ, in_light

COLORS = ((200, 150, 120), (170, 60, 60), (90, 55, 40), (150, 150, 150))


def _patches() -> NDArray[np.uint8]:
    return np.array([COLORS], np.uint8).repeat(64, 0).repeat(64, 1)


def _avif(path: Path, transfer: int) -> Path:
    return _still(path, transfer, "libsvtav1", "avif", "yuv420p10le", {"crf": "5"})


def _png(path: Path, transfer: int) -> Path:
    return _still(path, transfer, "png", "image2", "rgb48be", {})


def _heic(path: Path, transfer: int) -> Path:
    return write_tiled(path, _patches(), 64, 0, "yuv422p10le", transfer)


def _still(
    path: Path, transfer: int, codec: str, muxer: str, layout: str, options: dict[str, str]
) -> Path:
    picture = _patches()
    lit = av.VideoFrame.from_ndarray(in_light(picture, transfer), "rgb48le")
    words = {} if codec == "png" else {"dst_colorspace": BT2020, "dst_color_range": 1}
    coded = lit.reformat(format=layout, **words)
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=1, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = layout
        context = stream.codec_context
        context.color_primaries, context.color_trc = BT2020, transfer
        coded.color_primaries, coded.color_trc = BT2020, transfer
        if words:
            context.colorspace, context.color_range = BT2020, 1
        coded.pts = 0
        container.mux(stream.encode(coded))
        container.mux(stream.encode(None))
    return path


def _shown(path: Path) -> NDArray[np.float64]:
    """The patches as a player shows them, (4, 3) RGB."""
    facts = probe_video(path, Limits(), RenderOptions())
    assert facts.still
    assert facts.color.primaries == 1
    assert facts.color.transfer in (1, 13)
    (frame,) = FrameReader(facts, 1).read([0])
    red_share, blue_share = (0.2126, 0.0722) if facts.color.matrix == 1 else (0.299, 0.114)
    rows = []
    for n in range(4):
        luma = float(frame.y[16:48, 64 * n + 16 : 64 * n + 48].float().mean())
        u, v = (
            (float(p[8:24, 32 * n + 8 : 32 * n + 24].float().mean()) - 128) * 255 / 224
            for p in (frame.u, frame.v)
        )
        y = (luma - 16) * 255 / 219
        red, blue = y + 2 * (1 - red_share) * v, y + 2 * (1 - blue_share) * u
        green = (y - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
        rows.append((red, green, blue))
    return np.array(rows)


@pytest.mark.parametrize("transfer", [HLG, PQ, BT2020_SDR])
@pytest.mark.parametrize(("name", "make"), [("a.HIF", _heic), ("a.avif", _avif), ("a.png", _png)])
def test_a_photograph_keeps_its_colours(
    name: str, make: Callable[[Path, int], Path], transfer: int, tmp_path: Path
) -> None:
    shown = _shown(make(tmp_path / name, transfer))
    assert np.abs(shown - COLORS).max() < 6


def test_of_a_jpeg_with_a_gain_map_the_ordinary_picture_is_taken(tmp_path: Path) -> None:
    """Ultra HDR: the map lies behind the picture as a second one (CIPA DC-007)."""
    plain, gain = tmp_path / "plain.jpg", tmp_path / "gain.jpg"
    Image.fromarray(_patches()).save(plain, quality=97, subsampling=0)
    Image.new("L", (64, 16), 200).save(gain)
    both = tmp_path / "ultra.jpg"
    both.write_bytes(_indexed(plain.read_bytes(), gain.read_bytes()))
    assert np.array_equal(_shown(both), _shown(plain))


def _indexed(first: bytes, second: bytes) -> bytes:
    """Both pictures behind each other, and the index (APP2, MPF) in the first."""
    head = b"MM\0*" + struct.pack(">I", 8)
    entries = [(0xB000, 7, 4, b"0100"), (0xB001, 4, 1, struct.pack(">I", 2))]
    table_at = 8 + 2 + 12 * 3 + 4
    entries.append((0xB002, 7, 32, struct.pack(">I", table_at)))
    ifd = struct.pack(">H", 3) + b"".join(struct.pack(">HHI", *e[:3]) + e[3] for e in entries)
    length = 2 + 4 + table_at + 32
    whole = len(first) + 2 + length
    # Offsets count from behind "MPF\0".
    from_here = whole - (2 + 4 + 4)
    table = struct.pack(">IIIHH", 0x030000, whole, 0, 0, 0)
    table += struct.pack(">IIIHH", 0, len(second), from_here, 0, 0)
    body = b"MPF\0" + head + ifd + bytes(4) + table
    segment = b"\xff\xe2" + struct.pack(">H", 2 + len(body)) + body
    return first[:2] + segment + first[2:] + second
