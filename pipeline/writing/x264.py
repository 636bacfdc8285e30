"""How libx264 is set up: cheap, and with bytes that depend on the pictures alone.

x264's frame threads are written into the file and may change its decisions. So their number follows
from the size of the picture and from nothing of the machine: a retry elsewhere gives the same file.
How many encoders may work at a time is bound by `pipeline.writing.permits` instead.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from av.video.codeccontext import VideoCodecContext

CODEC = "libx264"
_PIXELS_OF_A_THREAD = 1_500_000
_MOST_THREADS = 4
_STEPS_ABOVE = ((200_000, 2), (400_000, 5), (math.inf, 6))
"""Pixels at most, and how far above the rate factor a quantiser may go there."""
_COARSEST = 51


def threads_for(width: int, height: int) -> int:
    """Frame threads for pictures of a size.

    One thread encodes 720p twice as fast as anything here paints it, and spends 6 to 14 % less
    processor than four; larger pictures get more, so that a job alone does not wait for them.
    """
    return min(_MOST_THREADS, 1 + width * height // _PIXELS_OF_A_THREAD)


def options(crf: int, width: int, height: int, bound: int | None = None) -> dict[str, str]:
    """What libavcodec's `libx264` takes for pictures of a size.

    Args:
        bound: the largest quantiser, `coarsest` if none is given.
    """
    bound = coarsest(crf, width, height) if bound is None else bound
    return {
        "preset": "veryfast",
        "crf": str(crf),
        "x264-params": f"{_params()}:qpmax={bound}",
    }


def coarsest(crf: int, width: int, height: int) -> int:
    """The largest quantiser that a constant rate factor may lead to.

    A rate factor promises bits rather than a picture: where a clip is small, and so has much detail
    in each block, x264 goes ten steps above it, down to 40 dB at 18. The bound costs 60 to 140 % of
    such a file, 0 to 3 % of one of 720p, where next to no block goes that far.
    """
    above = next(step for pixels, step in _STEPS_ABOVE if width * height <= pixels)
    return min(crf + above, _COARSEST)


def set_threads(codec: VideoCodecContext, width: int, height: int) -> int:
    """Give the codec its threads; how many they are."""
    codec.thread_count = threads_for(width, height)
    codec.thread_type = "FRAME"  # slices would change the picture
    return codec.thread_count


@cache
def _params() -> str:
    """What makes x264 cheap, and keeps it from depending on the machine.

    On top of `veryfast`, coarser motion saves a third of the time for 5 % more bytes and 0.2 dB.
    Whole 16x16 blocks without weights save 15 % more, and make the file 2 to 5 % smaller and 0.1 dB
    better: at a low rate factor, the smaller blocks and weights cost more bits than they save.
    Adaptive quantisation at half its usual strength takes bits from even walls for what has grain
    (1 to 16 % fewer bytes, up to 0.8 dB better), and narrower dead zones spend them on detail:
    together 0.8 to 1.6 dB, and sharper by 1 to 3 %, for -1 to +13 % bytes (grain alone: +41 %).
    The loop filter wipes skin of its pores: two steps weaker, as x264's own tuning for grain has
    it, a face's mouth keeps 1 to 9 % more detail for 1 to 3 % more bytes and 0.1 to 0.2 dB.
    The number of processors would choose the lookahead's threads, and with them frame types. On
    processors with AVX-512 libx264 165 weighs macroblocks by memory that it never wrote: pictures
    some macroblocks wide came out differently from run to run. AVX2 is as fast.
    """
    params = "subme=1:me=dia:partitions=i8x8:weightp=0:weightb=0:aq-strength=0.5"
    params += ":deadzone-inter=13:deadzone-intra=7:deblock=-2,-2:lookahead-threads=1"
    try:
        wide = "avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:
        wide = False
    return params + ":asm=avx2,fma3,bmi2,lzcnt" if wide else params
