"""A file's sound as one stream of frames without holes, of one format, never late.

Damaged packets, gaps and samples that are no numbers become silence of the same length, so that
nothing behind them shifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import floor, inf, isfinite
from pathlib import Path
from typing import cast

import av
from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from pipeline.errors import InputUnreadable, NoAudio
from pipeline.reading.container import (
    CUT,
    SPLICE_S,
    SPLICED,
    STATES_SECONDS,
    Clock,
    only,
    open_media,
    packets,
)
from pipeline.reading.decoders import check_decoder, has_decoder
from pipeline.reading.limits import check_audio_seconds
from pipeline.reading.resampling import in_one_plane
from pipeline.reading.scan import first_shown, video_stream
from pipeline.reading.sound_frames import Ruler, Shape, make_finite
from pipeline.reading.splices import Holes
from pipeline.types import Limits
from schemas.codes import Stage

_JUMPS = 10
"""A hole in the time stamps of sound that decodes well counts from a second over this on; less is
jitter."""
_APART_S = 10
"""Sound that starts farther from the picture than this has lying time stamps."""
_RATES = (4_000, 384_000)
"""Samples per second that are taken."""
_CHANNELS = (1, 32)


@contextmanager
def open_sound(path: Path, limits: Limits, clock: Clock | None = None) -> Iterator[Sound]:
    """Open a file's sound track.

    Raises:
        InputUnreadable: not media, or no decoder for it.
        NoAudio: no sound track.
        MediaLimitExceeded: too many bytes or streams, or the header states too many seconds.
    """
    with open_media(path, limits, Stage.PROBE) as container:
        stream = _sound_stream(container)
        if stream is None:
            raise NoAudio(f"{path.name} has no sound track", stage=Stage.PROBE)
        check_decoder(path, stream, Stage.PROBE)
        check_shape(path, stream.codec_context.sample_rate, stream.codec_context.channels)
        check_audio_seconds(path, _stated_seconds(path, container, stream), limits)
        yield Sound(path, container, stream, limits, clock)


def _sound_stream(container: InputContainer) -> AudioStream | None:
    """The stream that is heard: libavformat's choice, or another one where that has no decoder.

    Where there are several programmes, of the one that is watched. A film's surround sound may have
    no decoder. A stream that nothing decodes is taken only where there is no other.
    """
    best = container.streams.best("audio", video_stream(container))
    if isinstance(best, AudioStream) and has_decoder(best):
        return best
    tracks = container.streams.audio
    heard = [s for s in tracks if has_decoder(s) and s.codec_context.sample_rate]
    return next(iter([*heard, *(s for s in tracks if not has_decoder(s))]), None)


def check_shape(path: Path, rate: int, channels: int) -> None:
    """Refuse rates and channel counts that no recording has.

    Raises:
        InputUnreadable: names the value and its bounds.
    """
    for name, value, (least, most) in (
        ("rate", rate, _RATES),
        ("channels", channels, _CHANNELS),
    ):
        if not least <= value <= most:
            raise InputUnreadable(
                f"{path.name}: its sound has {name} {value}, outside {least} to {most}",
                stage=Stage.PROBE,
                **{name: value, "min": least, "max": most},
            )


def _stated_seconds(path: Path, container: InputContainer, stream: AudioStream) -> Fraction:
    """Seconds by the header; of WAV no more than its bytes have room for.

    What is made in a pipe says the largest number that there is.
    """
    if container.format.name not in STATES_SECONDS or not stream.duration or not stream.time_base:
        return Fraction(0)
    seconds = stream.duration * stream.time_base
    rate = stream.codec_context.bit_rate
    if container.format.name == "wav" and rate:
        seconds = min(seconds, Fraction(8 * path.stat().st_size, rate))
    return seconds


class Sound:
    """The decoded frames of one sound track, all of one format, without holes."""

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: AudioStream,
        limits: Limits,
        clock: Clock | None,
    ) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self._limits = limits
        self._clock = clock
        self.codec = stream.codec_context.codec.canonical_name
        self._measured_by(stream.codec_context.sample_rate)
        self.channels = stream.codec_context.channels
        self._done = 0

    def _measured_by(self, rate: int) -> None:
        self.rate = rate
        """Samples per second; of the first frame once that is decoded."""
        self._tick = Fraction(1, rate)
        longest = self._limits.max_audio_s
        self._most = floor(Fraction(longest) * rate) if isfinite(longest) else longest
        """Samples that a track may have."""
        spliced = self._container.format.name in SPLICED
        self._splice = SPLICE_S * rate if spliced else inf
        """Samples from which on a jump of the time stamps is no hole."""

    def frames(self, *, under_picture: bool = False) -> Iterator[AudioFrame]:
        """Decode from begin to end; damaged stretches become silence of the same length.

        Args:
            under_picture: count from the file's first picture instead of the first sample.

        Raises:
            InputUnreadable: packets, but none decodes.
            MediaLimitExceeded: longer than `max_audio_s`, or the clock ran out.
        """
        origin = self._picture_start() if under_picture else None
        only(self._container, self._stream)
        self._stream.codec_context.thread_count = 1
        start: Fraction | None = None
        shape: Shape | None = None
        ruler: Ruler | None = None
        damaged = False
        for frame in self._decoded():
            if frame is None:
                damaged = True
                continue
            if shape is None:
                check_shape(self._path, frame.sample_rate, frame.layout.nb_channels)
                shape = Shape(frame)
                self.channels = shape.channels
                self._measured_by(shape.rate)
            for piece in shape.same(frame):
                if start is None:
                    start = _zero(_time(frame), origin)
                if ruler is None and frame.time_base is not None:
                    holes = Holes(self._container, self._stream, self._limits, self._clock)
                    ruler = Ruler(frame.time_base, shape.rate, start, self._splice, holes.lead_to)
                stamp = frame.pts
                hole = 0
                if ruler is not None and stamp is not None:
                    hole = ruler.hole(stamp, self._done)
                if hole:
                    yield from self._place(piece, shape, hole, damaged)
                else:
                    yield self._count(piece)
                damaged = False

    def _decoded(self) -> Iterator[AudioFrame | None]:
        """Frames that hold sound, of finite samples in one plane; None for a damaged packet."""
        packet_seen = decodes = False
        for packet in packets(self._container, self._stream, self._clock):
            packet_seen = packet_seen or packet.size > 0
            try:
                decoded = cast(list[AudioFrame], packet.decode())
            except (av.FFmpegError, OSError):
                yield None
                continue
            for given in decoded:
                if given.samples == 0 or given.sample_rate <= 0:
                    continue
                frame = in_one_plane(given)
                make_finite(frame)
                decodes = True
                yield frame
        if packet_seen and not decodes:
            raise InputUnreadable(
                f"{self._path.name}: nothing of its sound track decodes", stage=Stage.PROBE
            )

    def _place(
        self,
        frame: AudioFrame,
        shape: Shape,
        hole: int,
        damaged: bool,
    ) -> Iterator[AudioFrame]:
        """The frame behind the silence that is missing before it, without what lies before 0.

        Args:
            hole: samples from the end of what came before to the frame, by its time stamp.
        """
        if self._done == 0 and hole < 0:
            rest = shape.without_head(frame, -hole)
            if rest is not None:
                yield self._count(rest)
            return
        enough = frame.samples // 2 if damaged else shape.rate // _JUMPS
        if hole > enough or (self._done == 0 and hole > 0):
            self._check(hole + self._done)
            for count in _chunks(hole, shape.rate):
                yield self._count(shape.silence(count))
        yield self._count(frame)

    def _count(self, frame: AudioFrame) -> AudioFrame:
        """The frame, put behind those before it."""
        end = self._done + frame.samples
        self._check(end)
        frame.pts = self._done
        frame.time_base = self._tick
        self._done = end
        return frame

    def _check(self, samples: int) -> None:
        if samples > self._most:
            check_audio_seconds(self._path, Fraction(samples, self.rate), self._limits)

    def _picture_start(self) -> Fraction | None:
        """When the first picture of the same file begins that is shown."""
        if self._container.format.name not in CUT:
            return first_shown(self._container)
        with open_media(self._path, self._limits, Stage.PROBE) as container:
            return first_shown(container)


def _chunks(samples: int, size: int) -> Iterator[int]:
    while samples > 0:
        yield min(samples, size)
        samples -= size


def _time(frame: AudioFrame) -> Fraction | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * frame.time_base


def _zero(time: Fraction | None, picture: Fraction | None) -> Fraction:
    if time is None:
        return Fraction(0)
    if picture is None or abs(time - picture) > _APART_S:
        return time
    return picture
