"""Single frames of sound: one shape for all of a track, silence, samples that are numbers, places.

`pipeline.reading.sound_stream` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from pipeline.reading.resampling import resampled

_LOUDEST = 1_000.0
"""Times full scale: samples of floating point above this, and what is no number, mean nothing, and
no encoder takes them. Up to it, recordings that were made too loud are as they are."""
_FLOATS: dict[str, type[np.floating[Any]]] = {"flt": np.float32, "dbl": np.float64}
"""Sample formats that can hold what is no number."""


class Ruler:
    """Turns time stamps into samples from a track's start, in whole numbers.

    Fractions for each frame of sound would take the interpreter longer than all else that a frame
    of the picture needs.

    Args:
        base: seconds of one tick of the stamps.
        rate: samples per second.
        start: seconds at which the track begins.
        splice: samples from which on another recording may begin at a jump.
        is_hole: whether one that leads so far forward to a time (s) is a hole all the same.
    """

    def __init__(
        self,
        base: Fraction,
        rate: int,
        start: Fraction,
        splice: float,
        is_hole: Callable[[Fraction], bool],
    ) -> None:
        self._splice = splice
        self._is_hole = is_hole
        self._base = base
        self._tick = base.numerator * start.denominator * rate
        self._start = start.numerator * base.denominator * rate
        self._sample = base.denominator * start.denominator

    def hole(self, stamp: int, done: int) -> int:
        """Samples that are missing between those that came and the ones of a stamp."""
        missing = self._samples(stamp) - done
        if abs(missing) <= self._splice or (missing > 0 and self._is_hole(stamp * self._base)):
            return missing
        self._start = stamp * self._tick - done * self._sample
        return 0

    def _samples(self, stamp: int) -> int:
        """The nearest sample, of two the even one."""
        place = stamp * self._tick - self._start
        count, rest = divmod(place, self._sample)
        return round(Fraction(place, self._sample)) if rest else count


class Shape:
    """Format, layout and rate of a track's first frame; brings later frames into it."""

    def __init__(self, first: AudioFrame) -> None:
        self.format = first.format.name
        self.layout = first.layout.name
        self.channels = first.layout.nb_channels
        self.rate = first.sample_rate

    def same(self, frame: AudioFrame) -> list[AudioFrame]:
        """The frame in this shape, in pieces where it had another one."""
        if (frame.format.name, frame.layout.name, frame.sample_rate) == (
            self.format,
            self.layout,
            self.rate,
        ):
            return [frame]
        convert = AudioResampler(self.format, self.layout, self.rate)
        return [*resampled(convert, frame), *resampled(convert, None)]

    def silence(self, samples: int) -> AudioFrame:
        """So many samples of silence for each channel."""
        frame = AudioFrame(self.format, self.layout, samples)
        fill = 0x80 if self.format.startswith("u8") else 0
        for plane in frame.planes:
            np.frombuffer(memoryview(plane), np.uint8)[:] = fill
        frame.sample_rate = self.rate
        return frame

    def without_head(self, frame: AudioFrame, samples: int) -> AudioFrame | None:
        """The frame without its first samples; None where nothing is left."""
        if samples >= frame.samples:
            return None
        values: NDArray[Any] = frame.to_ndarray()
        step = 1 if frame.format.is_planar else self.channels
        rest = AudioFrame.from_ndarray(
            np.ascontiguousarray(values[:, samples * step :]), self.format, self.layout
        )
        rest.sample_rate = self.rate
        return rest


def make_finite(frame: AudioFrame) -> None:
    """Put silence where a sample is no number, and full scale where it is beyond all measure."""
    kind = _FLOATS.get(frame.format.name.removesuffix("p"))
    if kind is None:
        return
    for plane in frame.planes:
        values = np.frombuffer(memoryview(plane), kind)
        if not np.abs(values).max(initial=0) <= _LOUDEST:  # nor is it where there is a NaN
            np.nan_to_num(values, copy=False, nan=0.0)
            np.clip(values, -1, 1, out=values)
