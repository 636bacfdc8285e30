"""The GPU's own video decoder, where there is one that really decodes: a quarter of the processor.

Whether it does is tried once per process and device, with a short film that is made for it: what
comes back must be the pictures that libavcodec's own decoder makes. A build without it, a container
without the `video` capability, or a GPU without the unit are all seen this way. The pictures of a
file are the same from both up to one level, since H.264, HEVC, VP9 and AV1 leave a decoder no
choice; orientation and colours go through `pipeline.reading.upright` either way.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
from av import FFmpegError
from av.codec.hwaccel import HWAccel
from torch import Tensor

from pipeline import hardware
from pipeline.batching.cuda import is_cuda
from pipeline.reading.trial_film import coded, decoded, stripes
from pipeline.types import VideoFacts

CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
"""What the units of the last ten years decode; a stream that one does not falls back by itself."""
SMALLEST, LARGEST = 144, 4096
"""Sides of pictures that every such unit takes."""
_WAYS: tuple[dict[str, object], ...] = ({"current_ctx": "1"}, {"primary_ctx": "1"}, {})
"""torch's own CUDA context first: one of its own costs memory, and the two would take turns."""

_log = logging.getLogger(__name__)


def accelerator(device: str, video: VideoFacts) -> HWAccel | None:
    """What `av.open` takes to decode a video on a device; None for libavcodec's own decoder.

    Call it in the thread that decodes.
    """
    if not hardware.use().nvdec or not suits(video) or not is_cuda(device):
        return None
    options = _way(device)
    try:
        return None if options is None else _made(device, options)
    except RuntimeError as error:  # such as no memory by now
        _log.warning("%s: decoded on the processors: %s", video.path.name, error)
        return None


def look(device: str) -> None:
    """Find out now whether the device decodes; the first job would wait for that."""
    if hardware.use().nvdec and is_cuda(device):
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
    film = coded("libx264", {"crf": "10"}, stripes())
    want = decoded(film)
    reasons: list[str] = []
    for options in _WAYS:
        try:
            found = decoded(film, _made(device, options))
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
