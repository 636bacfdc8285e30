"""Speech on a channel that no mix to one or two keeps: LFE, or the last of sixteen.

A mix of many channels drops some of them by rule. Where the mix is silent and a channel is not,
that channel alone is heard and written.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from pipeline.reading.resampling import resampled
from pipeline.types import AudioFacts

MIX = {"rematrix_maxval": "1.0"}
"""Mixed so that no sum clips."""
MANY = 3
"""Channels from which on a mix drops some."""
FAINT = 0.05
"""Loudness from which on a mean of two channels certainly has not lost the speech; that is at .02
and more, but each keeps a noise of its own."""
_CANCELLED = 3
"""One channel that is so many times louder than the mean of both has its mirror in the other."""
_HEARD = 0.003
"""Loudness of a channel that somebody spoke on; faint speech has more."""
_LOUDER = 30
"""Times that it is louder than a mix that lost it: what a mix keeps of one of 32 is more."""


def alone(frame: AudioFrame, channel: int) -> AudioFrame:
    """One channel of a frame as a mono frame of the same format."""
    values: NDArray[Any] = frame.to_ndarray()
    count = frame.layout.nb_channels
    one = values[channel : channel + 1] if frame.format.is_planar else values[:, channel::count]
    mono = AudioFrame.from_ndarray(np.ascontiguousarray(one), frame.format.name, "mono")
    mono.sample_rate = frame.sample_rate
    mono.pts = frame.pts
    mono.time_base = frame.time_base
    return mono


class ChannelMeter:
    """Measures each channel of a track, and what a mix of all would keep."""

    def __init__(self) -> None:
        self._each = AudioResampler("flt")  # in one plane: PyAV cannot show eight and more
        self._mix = AudioResampler("fltp", "mono", options=MIX)
        self._squares: NDArray[np.float64] | None = None
        self._mixed = 0.0
        self._samples = 0

    def add(self, frame: AudioFrame) -> None:
        """Take the next frame."""
        for piece in resampled(self._each, frame):
            values = piece.to_ndarray().reshape(-1, piece.layout.nb_channels)
            squares = np.einsum("nc,nc->c", values, values, dtype=np.float64)
            self._squares = squares if self._squares is None else self._squares + squares
            self._samples += piece.samples
        for piece in resampled(self._mix, frame):
            values = piece.to_ndarray()
            self._mixed += float(np.einsum("cn,cn->", values, values, dtype=np.float64))

    def lost(self) -> int | None:
        """The loudest channel, if a mix would lose it and all others are silent; from 0."""
        if self._squares is None:
            return None
        loudest = int(self._squares.argmax())
        square = float(self._squares[loudest]) / self._samples
        if square < _HEARD**2 or square < _LOUDER**2 * self._mixed / self._samples:
            return None
        return loudest


class PairMeter:
    """Measures whether two channels cancel each other in a mix.

    A balanced cable in a stereo socket makes the right one the left one's mirror. Offsets of a
    recorder, which differ from channel to channel, are no sound and do not count.
    """

    def __init__(self) -> None:
        self._each = AudioResampler("flt")
        self._left, self._mixed = _Deviation(), _Deviation()

    def add(self, frame: AudioFrame) -> None:
        """Take the next frame."""
        for piece in resampled(self._each, frame):
            if piece.layout.nb_channels != 2:  # by its header alone it had two
                continue
            values = piece.to_ndarray().reshape(-1, 2).astype(np.float32, copy=False)
            left = np.ascontiguousarray(values[:, 0])
            self._left.add(left)
            self._mixed.add((left + values[:, 1]) / 2)

    def lost(self) -> int | None:
        """The channel that is taken instead of the mix, 0, where that would lose the speech."""
        return 0 if is_cancelled(self._mixed.loudness, self._left.loudness) else None


class _Deviation:
    """Adds up how far samples lie from their mean."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, samples: NDArray[np.floating[Any]]) -> None:
        """Take the next (n,) samples."""
        self._count += len(samples)
        self._sum += float(samples.sum(dtype=np.float64))
        self._squares += float(np.dot(samples, samples))

    @property
    def loudness(self) -> float:
        """Root of the mean square; 0 of nothing."""
        count = max(1, self._count)
        return sqrt(max(0.0, self._squares / count - (self._sum / count) ** 2))


def is_cancelled(mixed: float, left: float) -> bool:
    """Whether two channels cancel each other, by the loudness of their mean and of the left one."""
    return mixed < FAINT and left > _CANCELLED * mixed


def meter_of(channels: int) -> ChannelMeter | PairMeter | None:
    """What finds speech that a mix of so many channels loses; None where it loses none."""
    if channels >= MANY:
        return ChannelMeter()
    return PairMeter() if channels == 2 else None


def sound_warnings(audio: AudioFacts) -> list[str]:
    """What a report says of a speech that a mix would lose."""
    if audio.alone is None:
        return []
    if audio.channels == 2:
        return ["the two channels of the speech cancel each other; the left one is written alone"]
    return [
        f"the speech is on channel {audio.alone + 1} of {audio.channels} alone, which a mix drops; "
        "that channel is heard and written"
    ]
