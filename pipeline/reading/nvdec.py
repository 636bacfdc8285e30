"""The GPU's own video decoder, where there is one that really decodes: a quarter of the processor.

Whether it does is tried once per process and device, with a short film that is made for it: what
comes back must be the pictures that libavcodec's own decoder makes. A build without it, a container
without the `video` capability, or a GPU without the unit are all seen this way. The pictures of a
file are the same from both up to one level, since H.264, HEVC, VP9 and AV1 leave a decoder no
choice; orientation and colours go through `pipeline.reading.upright` either way.
"""

from __future__ import annotations

import io
import logging
from functools import cache

import av
import torch
from av import FFmpegError, VideoFrame
from av.codec.hwaccel import HWAccel
from torch import Tensor

from pipeline import hardware
from pipeline.batching.cuda import is_cuda
from pipeline.reading.plane_samples import samples
from pipeline.types import VideoFacts

CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
"""What the units of the last ten years decode; a stream that one does not falls back by itself."""
SMALLEST, LARGEST = 144, 4096
"""Sides of pictures that every such unit takes."""
_SIDE, _FRAMES = 256, 6
_WAYS: tuple[dict[str, object], ...] = ({"current_ctx": "1"}, {"primary_ctx": "1"}, {})
"""torch's own CUDA context first: one of its own costs memory, and the two would take turns."""

_log = logging.getLogger(__name__)


def accelerator(device: str, video: VideoFacts) -> HWAccel | None:
    """What `av.open` takes to decode a video on a device; None for libavcodec's own decoder.

    Call it in the thread that decodes.
    """
    if not hardware.nvdec() or not suits(video) or not is_cuda(device):
        return None
    options = _way(device)
    try:
        return None if options is None else _made(device, options)
    except RuntimeError as error:  # such as no memory by now
        _log.warning("%s: decoded on the processors: %s", video.path.name, error)
        return None


def look(device: str) -> None:
    """Find out now whether the device decodes; the first job would wait for that."""
    if hardware.nvdec() and is_cuda(device):
        _way(device)


def suits(video: VideoFacts) -> bool:
    """Whether a video is of a kind that the units decode."""
    sides = (video.width, video.height)
    return (
        video.codec in CODECS
        and not video.still
        and min(sides) >= SMALLEST
        and max(sides) <= LARGEST
    )


@cache
def _way(device: str) -> dict[str, object] | None:
    """The options under which the device decodes; says in the log, once, when it does not."""
    film = _film()
    want = _pictures(film, None)
    reasons: list[str] = []
    for options in _WAYS:
        try:
            found = _pictures(film, _made(device, options))
        except (FFmpegError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            reasons.append(str(error) or type(error).__name__)
            continue
        if same(found, want):
            _log.info("videos are decoded on %s", device)
            return options
        reasons.append("it makes other pictures")
    _log.info("videos are decoded on the processors: %s does not (%s)", device, reasons[0])
    return None


def _made(device: str, options: dict[str, object]) -> HWAccel:
    index = torch.device(device).index or 0
    torch.empty(1, device=device)  # makes torch's context the one of this thread
    return HWAccel("cuda", index, allow_software_fallback=False, options=dict(options))


def same(found: list[Tensor], want: list[Tensor]) -> bool:
    """Whether (H, W) uint8 lumas are the same up to one level, and none is missing."""
    return len(found) == len(want) and all(
        a.shape == b.shape and int((a.int() - b.int()).abs().max()) <= 1
        for a, b in zip(found, want, strict=True)
    )


def _film() -> bytes:
    """Some frames of moving stripes, H.264 in Matroska."""
    made = io.BytesIO()
    row = torch.arange(_SIDE)
    with av.open(made, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, "yuv420p"
        for n in range(_FRAMES):
            frame = VideoFrame(_SIDE, _SIDE, "yuv420p")
            luma, *chroma = frame.planes
            stripes = 40 + (row.unsqueeze(1) + 3 * row + 8 * n) % 160
            samples(luma, _SIDE, _SIDE).copy_(stripes)
            for plane in chroma:
                samples(plane, _SIDE // 2, _SIDE // 2).fill_(118 + 4 * n)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return made.getvalue()


def _pictures(film: bytes, accel: HWAccel | None) -> list[Tensor]:
    """Luma of every frame."""
    with av.open(io.BytesIO(film), "r", format="matroska", hwaccel=accel) as container:
        return [
            samples(frame.planes[0], _SIDE, _SIDE).clone() for frame in container.decode(video=0)
        ]
