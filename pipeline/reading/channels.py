"""Speech on a channel that no mix to one or two keeps: LFE, or the last of sixteen.

A mix of many channels drops some of them by rule. Where the mix is silent and a channel is not,
that channel alone is heard and written.
"""

from __future__ import annotations

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


def sound_warnings(audio: AudioFacts) -> list[str]:
    """What a report says of a speech that a mix would lose."""
    if audio.alone is None:
        return []
    return [
        f"the speech is on channel {audio.alone + 1} of {audio.channels} alone, which a mix drops; "
        "that channel is heard and written"
    ]
