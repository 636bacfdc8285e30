"""A short film by which a GPU's video unit is tried, and its pictures again."""

from __future__ import annotations

import io
from typing import cast

import av
import torch
from av import VideoFrame
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream
from torch import Tensor

from pipeline.reading.plane_samples import samples

_SIDE, _FRAMES = 256, 6


def stripes() -> list[Tensor]:
    """(256, 256) uint8 lumas of stripes that move."""
    row = torch.arange(_SIDE)
    slanted = row.unsqueeze(1) // 2 + row
    return [(40 + (slanted + 4 * n) % 160).to(torch.uint8) for n in range(_FRAMES)]


def coded(codec: str, settings: dict[str, str], lumas: list[Tensor]) -> bytes:
    """A film of them in Matroska, without colours."""
    made = io.BytesIO()
    with av.open(made, "w", format="matroska") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25, options=settings))
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, "yuv420p"
        for each in lumas:
            frame = VideoFrame(_SIDE, _SIDE, "yuv420p")
            luma, *chroma = frame.planes
            samples(luma, _SIDE, _SIDE).copy_(each)
            for plane in chroma:
                samples(plane, _SIDE // 2, _SIDE // 2).fill_(128)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return made.getvalue()


def decoded(film: bytes, accel: HWAccel | None = None) -> list[Tensor]:
    """The lumas of a film, (256, 256) uint8 each."""
    with av.open(io.BytesIO(film), "r", format="matroska", hwaccel=accel) as container:
        frames = container.decode(video=0)
        return [samples(frame.planes[0], _SIDE, _SIDE).clone() for frame in frames]
