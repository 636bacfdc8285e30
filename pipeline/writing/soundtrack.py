"""The output's sound: the speech's own samples, as AAC at the source's rate.

It is written a little ahead of the picture, so that the file interleaves and memory stays flat.
AAC puts 1024 samples of priming first; libavformat's MP4 muxer hides them behind an edit list, so
that sound and picture both start at 0 (ISO/IEC 14496-12 8.6.6, Apple TN2258).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction

from av import AudioFrame, AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet

from pipeline.reading.channels import MIX, alone
from pipeline.reading.limits import TRUSTED
from pipeline.reading.resampling import resampled
from pipeline.reading.sound_stream import Sound, open_sound
from pipeline.types import AudioFacts

_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""ISO/IEC 14496-3 table 1.18, up to what every player takes."""
_BITS_PER_CHANNEL = 80_000


def output_rate(rate: int) -> int:
    """The source's rate where AAC has it, else the next higher one, at most 48 kHz."""
    return next((known for known in _AAC_RATES if known >= rate), _AAC_RATES[-1])


class Soundtrack:
    """Encodes the speech into a stream of the output of its own, as far as it is asked to."""

    def __init__(self, container: OutputContainer, audio: AudioFacts) -> None:
        self._rate = output_rate(audio.rate)
        self._tick = Fraction(1, self._rate)
        layout = "mono" if audio.channels == 1 or audio.alone is not None else "stereo"
        stream: AudioStream = container.add_stream("aac", rate=self._rate)
        codec = stream.codec_context
        codec.layout = layout
        codec.format = "fltp"
        codec.time_base = self._tick
        bits = min(_BITS_PER_CHANNEL, 5 * self._rate)  # the standard allows 6 bits per sample
        codec.bit_rate = bits * (1 if layout == "mono" else 2)
        codec.flags |= Flags.bitexact.value
        self._stream = stream
        self._resampler = AudioResampler("fltp", layout, self._rate, options=MIX)
        self._source: AbstractContextManager[Sound] = open_sound(audio.path, TRUSTED)
        self._frames: Iterator[AudioFrame] = self._source.__enter__().frames()
        self._alone = audio.alone
        self._written = 0
        self._over = False

    def __enter__(self) -> Soundtrack:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.__exit__(None, None, None)

    def until(self, picture: int, fps: Fraction) -> list[Packet[AudioStream]]:
        """Packets up to half a second behind the begin of a picture, of so many per second."""
        if self._over:
            return []
        # written / rate < picture / fps + 1 / 2, in whole numbers as it is asked for each picture.
        rate, period = fps.as_integer_ratio()
        most = (2 * picture * period + rate) * self._rate
        packets: list[Packet[AudioStream]] = []
        while not self._over and 2 * rate * self._written < most:
            self._step(packets)
        return packets

    def rest(self) -> list[Packet[AudioStream]]:
        """Packets up to the end of the sound."""
        packets: list[Packet[AudioStream]] = []
        while not self._over:
            self._step(packets)
        return packets

    def _step(self, packets: list[Packet[AudioStream]]) -> None:
        """Append what the next frame of the sound brings out."""
        frame = next(self._frames, None)
        self._over = frame is None
        if frame is not None and self._alone is not None:
            frame = alone(frame, self._alone)
        for piece in resampled(self._resampler, frame):
            piece.pts = self._written
            piece.time_base = self._tick
            self._written += piece.samples
            packets += self._stream.encode(piece)
        if self._over:
            packets += self._stream.encode(None)
