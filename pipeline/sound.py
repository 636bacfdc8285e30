"""A file's sound as one stream of frames without holes, of one format, never late.

Damaged packets and gaps become silence of the same length, so that nothing behind them shifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av import AudioFrame, AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from pipeline.container import STATES_SECONDS, Clock, check_decoder, only, open_media, packets
from pipeline.errors import InputUnreadable, MediaLimitExceeded, NoAudio
from pipeline.scan import video_stream
from pipeline.types import Limits
from schemas.codes import Stage

_JUMP_S = Fraction(1, 10)
"""A hole in the time stamps of sound that decodes well counts from here on; less is jitter."""
_APART_S = 10
"""Sound that starts farther from the picture than this has lying time stamps."""
_RATES = (4_000, 384_000)
"""Samples per second that are taken."""
_CHANNELS = (1, 32)


def resampled(resampler: AudioResampler, frame: AudioFrame | None) -> list[AudioFrame]:
    """Frames in the resampler's format; None flushes.

    Raises:
        InputUnreadable: there is no way from the frame's format to it.
    """
    try:
        return resampler.resample(frame)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise InputUnreadable(
            f"sound of this format cannot be resampled: {error}", stage=Stage.DECODE
        ) from error


@contextmanager
def open_sound(path: Path, limits: Limits, clock: Clock | None = None) -> Iterator[Sound]:
    """Open a file's sound track.

    Raises:
        InputUnreadable: not media, or no decoder for it.
        NoAudio: no sound track.
        MediaLimitExceeded: too many bytes or streams, or the header states too many seconds.
    """
    with open_media(path, limits, Stage.PROBE) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise NoAudio(f"{path.name} has no sound track", stage=Stage.PROBE)
        check_decoder(path, stream, Stage.PROBE)
        check_shape(path, stream.codec_context.sample_rate, stream.codec_context.channels)
        if container.format.name in STATES_SECONDS and stream.duration and stream.time_base:
            _check_seconds(path, stream.duration * stream.time_base, limits)
        yield Sound(path, container, stream, limits, clock)


def check_shape(path: Path, rate: int, channels: int) -> None:
    """Refuse rates and channel counts that no recording has."""
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


def _check_seconds(path: Path, seconds: Fraction, limits: Limits) -> None:
    if seconds > limits.max_audio_s:
        raise MediaLimitExceeded(
            f"{path.name} lasts {float(seconds):.1f} s, longer than {limits.max_audio_s:g} s",
            stage=Stage.PROBE,
            limit="max_audio_s",
            value=float(seconds),
            max=limits.max_audio_s,
        )


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
        self.rate = stream.codec_context.sample_rate
        """Samples per second; of the first frame once that is decoded."""
        self.channels = stream.codec_context.channels
        self._done = 0

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
        shape: _Shape | None = None
        damaged = packet_seen = False
        for packet in packets(self._container, self._stream, self._clock):
            packet_seen = packet_seen or packet.size > 0
            try:
                decoded = cast(list[AudioFrame], packet.decode())
            except (av.FFmpegError, OSError):
                damaged = True
                continue
            for frame in decoded:
                if frame.samples == 0 or frame.sample_rate <= 0:
                    continue
                if shape is None:
                    check_shape(self._path, frame.sample_rate, frame.layout.nb_channels)
                    shape = _Shape(frame)
                    self.rate, self.channels = shape.rate, shape.channels
                for piece in shape.same(frame):
                    time = _time(frame)
                    if start is None:
                        start = _zero(time, origin)
                    yield from self._place(piece, shape, time, start, damaged)
                    damaged = False
        if packet_seen and shape is None:
            raise InputUnreadable(
                f"{self._path.name}: nothing of its sound track decodes", stage=Stage.PROBE
            )

    def _place(
        self,
        frame: AudioFrame,
        shape: _Shape,
        time: Fraction | None,
        start: Fraction,
        damaged: bool,
    ) -> Iterator[AudioFrame]:
        """The frame behind the silence that is missing before it, without what lies before 0."""
        hole = 0
        if time is not None:
            hole = round((time - start) * shape.rate) - self._done
        if self._done == 0 and hole < 0:
            yield from self._count(shape.without_head(frame, -hole))
            return
        enough = frame.samples // 2 if damaged else int(_JUMP_S * shape.rate)
        if hole > enough or (self._done == 0 and hole > 0):
            self._check(hole + self._done)
            for count in _chunks(hole, shape.rate):
                yield from self._count(shape.silence(count))
        yield from self._count(frame)

    def _count(self, frame: AudioFrame | None) -> Iterator[AudioFrame]:
        if frame is None:
            return
        self._check(self._done + frame.samples)
        frame.pts = self._done
        frame.time_base = Fraction(1, self.rate)
        self._done += frame.samples
        yield frame

    def _check(self, samples: int) -> None:
        _check_seconds(self._path, Fraction(samples, self.rate), self._limits)

    def _picture_start(self) -> Fraction | None:
        """When the first picture of the same file begins."""
        stream = video_stream(self._container)
        if stream is None or stream.start_time is None or stream.time_base is None:
            return None
        return stream.start_time * stream.time_base


class _Shape:
    """Format, layout and rate of a track's first frame; brings later frames into it."""

    def __init__(self, first: AudioFrame) -> None:
        self.format = first.format.name
        self.layout = first.layout.name
        self.channels = first.layout.nb_channels
        self.rate = first.sample_rate
        self._convert: AudioResampler | None = None

    def same(self, frame: AudioFrame) -> list[AudioFrame]:
        if (frame.format.name, frame.layout.name, frame.sample_rate) == (
            self.format,
            self.layout,
            self.rate,
        ):
            return [frame]
        convert = AudioResampler(self.format, self.layout, self.rate)
        return [*resampled(convert, frame), *resampled(convert, None)]

    def silence(self, samples: int) -> AudioFrame:
        frame = AudioFrame(self.format, self.layout, samples)
        fill = 0x80 if self.format.startswith("u8") else 0
        for plane in frame.planes:
            np.frombuffer(memoryview(plane), np.uint8)[:] = fill
        frame.sample_rate = self.rate
        return frame

    def without_head(self, frame: AudioFrame, samples: int) -> AudioFrame | None:
        if samples >= frame.samples:
            return None
        values: NDArray[Any] = frame.to_ndarray()
        step = 1 if frame.format.is_planar else self.channels
        rest = AudioFrame.from_ndarray(
            np.ascontiguousarray(values[:, samples * step :]), self.format, self.layout
        )
        rest.sample_rate = self.rate
        return rest


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
