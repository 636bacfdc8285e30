"""Film with Dolby Vision's words for each picture, in a container that does not name it.

ETSI TS 103 572; the words are one unit of type 62 behind the picture in HEVC.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

_WHOLE = "0" * 23
"""The fraction of a coefficient."""


def _ue(value: int) -> str:
    """Exp-Golomb, ITU-T H.265 9.2."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def words() -> bytes:
    """A unit that changes nothing, with the start code before it."""
    bits = f"{2:06b}{18:011b}{0:04b}{0:04b}"  # type, format, profile, level
    bits += "1" + "0" + "00" + _ue(23) + "01" + "1"  # sequence: coefficients of 23 bits, full range
    bits += _ue(2) + _ue(2) + _ue(4) + "0" + "000" + "0" + "1"  # depths of 10, 10 and 12 bits
    bits += "0" + "0" + _ue(0) * 3
    bits += (_ue(0) + f"{0:010b}{1023:010b}") * 3  # one piece for each component
    bits += _ue(0) * 2
    bits += (_ue(0) + _ue(0) + "0" + _ue(0) + _WHOLE + _ue(1) + _WHOLE) * 3  # y = x
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big") + b"\1\1\1\1\x80"  # nobody checks the sum
    return b"\0\0\0\1\x7c\1\x19" + _escaped(body)


def _escaped(body: bytes) -> bytes:
    """With a 3 behind two zeros that would look like a start code."""
    made = bytearray()
    for byte in body:
        if byte <= 3 and made[-2:] == b"\0\0":
            made.append(3)
        made.append(byte)
    return bytes(made)


def write_dolby(path: Path, *, full_range: bool) -> Path:
    """Five grey pictures whose colours nobody names."""
    span = "full" if full_range else "limited"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p10le"
        stream.options = {"x265-params": f"log-level=none:pools=none:bframes=0:range={span}"}
        stream.codec_context.color_range = 2 if full_range else 1
        grey = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 90, np.uint8), "rgb24")
        for number in range(5):
            frame = grey.reformat(format="yuv420p10le", dst_color_range=2 if full_range else 1)
            frame.pts = number
            _mux(container, stream, stream.encode(frame))
        _mux(container, stream, stream.encode(None))
    return path


def _mux(
    container: av.container.OutputContainer,
    stream: av.VideoStream,
    packets: list[av.Packet[Any]],
) -> None:
    for packet in packets:
        whole: av.Packet[Any] = av.Packet(bytes(packet) + words())
        whole.pts, whole.dts, whole.time_base = packet.pts, packet.dts, packet.time_base
        whole.is_keyframe, whole.stream = packet.is_keyframe, stream
        container.mux(whole)
