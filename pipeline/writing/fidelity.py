"""How near an output stays to its pictures: a bound of the quantiser that follows what is seen.

A rate factor promises bits rather than a picture. Grain and shaking hands leave nothing to predict,
and x264 spends there what it spends anywhere: 43.3 dB at 18, where other clips have 46 to 51. A
smaller bound for all would cost those 25 to 43 % of their bytes for nothing. So the error that x264
itself reports of each finished picture decides, and only where it is too large does the bound fall.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.writing import x264

TARGET_DB, AT_CRF = 45.9, 18
"""Of luma, over whole pictures; around a face there is less, since skin is smoother."""
STEP_DB = 0.7
"""What a step of the bound gives on clips that need it: .6 to .8 dB, and 12 to 16 % more bytes."""
SLACK_DB = 0.2
"""Below the target, within which nothing changes: for a step is coarser."""
SPARE_DB = 1.4
"""Above the target, from which on the bound rises again."""
FIRST_LOOK = 8
"""Finished pictures after which the bound is looked at for the first time."""
_FINEST = 1
"""How far above the rate factor the bound stays at least."""
_STATS: Final = "quality_stats"
_ERROR, _ERROR_AT = struct.Struct("=Q"), 8
"""libavcodec's AV_PKT_DATA_QUALITY_STATS: u32 quality, u8 type, u8 number, u16, u64 errors."""


class Bound:
    """The largest quantiser of one output, judged by the pictures that are done."""

    def __init__(self, crf: int, width: int, height: int) -> None:
        self._samples = width * height
        self._most = x264.coarsest(crf, width, height)
        self._least = min(crf + _FINEST, self._most)
        self._target = TARGET_DB - STEP_DB * max(0, crf - AT_CRF)
        self._whole = _Error()
        self._recent = _Error()
        self.value = self._most
        """Of the pictures to come."""

    @property
    def seen(self) -> int:
        """Finished pictures since the last judgement."""
        return self._recent.pictures

    def see(self, squares: int) -> None:
        """Take the sum of squared luma errors of a finished picture."""
        self._whole.add(squares)
        self._recent.add(squares)

    def judge(self) -> bool:
        """Whether the bound changed, by what was seen since the last time and from the start."""
        if not self._recent.pictures:
            return False
        over = self._recent.db(self._samples) - self._target
        short = self._whole.db(self._samples) < self._target
        self.forget()
        before = self.value
        if over < -SLACK_DB and short:
            self.value -= math.ceil(-over / STEP_DB)
        elif over >= SPARE_DB and not short:
            self.value += math.floor(over / STEP_DB) - 1
        self.value = max(self._least, min(self.value, self._most))
        return self.value != before

    def forget(self) -> None:
        """Judge by pictures to come: those so far had another bound, or were judged."""
        self._recent = _Error()

    def begin_again(self) -> None:
        """Judge by pictures to come alone: those so far are encoded again."""
        self._whole = _Error()
        self.forget()


def squares_of(packet: Packet[VideoStream]) -> int | None:
    """Sum of a picture's squared luma errors, as its encoder reports it; None without a report."""
    stats = packet.get_sidedata(_STATS)  # empty where there are none
    if stats.buffer_size < _ERROR_AT + 8:
        return None
    squares: int = _ERROR.unpack_from(stats, _ERROR_AT)[0]
    return squares


class _Error:
    """Squares that add up."""

    def __init__(self) -> None:
        self.pictures = self._squares = 0

    def add(self, squares: int) -> None:
        self.pictures += 1
        self._squares += squares

    def db(self, samples: int) -> float:
        """PSNR over all pictures, dB, in hundredths: a logarithm's last bit decides nothing."""
        mean = max(self._squares, 1) / (samples * self.pictures)
        return round(10 * math.log10(255**2 / mean), 2)
