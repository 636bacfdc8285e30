"""What the inputs are, by limits first: headers, then packets, and only then one picture.

Headers lie, so seconds are checked twice, and frames and samples are counted.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av import FFmpegError, VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from pipeline.errors import InputUnreadable, MediaLimitExceeded, NoVideo
from pipeline.reading.alpha_decoder import decoded, decoder_of
from pipeline.reading.audio import measure
from pipeline.reading.colors import Words, delivered
from pipeline.reading.container import (
    PICTURES,
    STATES_SECONDS,
    Clock,
    check_file,
    is_still,
    only,
    open_media,
    packets,
)
from pipeline.reading.decoders import check_decoder
from pipeline.reading.deinterlace import is_one_field
from pipeline.reading.delivered_size import Size, delivered_size, within
from pipeline.reading.grid import STILL_FPS, Grid, PictureTable, every_second, fit_grid
from pipeline.reading.limits import check_pixels, check_video_seconds
from pipeline.reading.orientation import orientation_of
from pipeline.reading.photograph import ALONE, Photograph, codec_of
from pipeline.reading.picture_size import claimed_size, is_animated_png, is_animated_webp
from pipeline.reading.picture_work import check_work
from pipeline.reading.png_words import MOST_WORDS, words_too_large
from pipeline.reading.scan import declared_rates, scan_pictures, video_stream
from pipeline.reading.shown_part import Margins, margins_of
from pipeline.reading.trial import open_on_trial
from pipeline.types import AudioFacts, Limits, VideoFacts
from schemas.codes import Stage
from schemas.request import RenderOptions

_STILL_TIMES = 7
"""Times `max_pixels` that a still may have: it is scaled down, as phones take 12 to 50 megapixels
and there is but one of it."""
_MICROSECOND = Fraction(1, 1_000_000)


def probe_audio(path: Path, limits: Limits) -> AudioFacts:
    """Measure the speech: its rate, channels and exact length by decoded samples.

    Raises:
        InputUnreadable: not media, or nothing in it decodes.
        NoAudio: no sound track, or one without a sample.
        MediaLimitExceeded: too many bytes, streams or seconds, or probing takes too long.
    """
    return measure(path, limits)


def probe_video(path: Path, limits: Limits, options: RenderOptions) -> VideoFacts:
    """Measure the reference: its size as it will be delivered, rate, frames and colours.

    Raises:
        InputUnreadable: not media, or nothing in it decodes.
        NoVideo: neither a video nor a picture.
        MediaLimitExceeded: too many bytes, streams, pixels or seconds, or probing takes too long.
    """
    clock = Clock(path, limits.probe_timeout_s)
    check_file(path, limits, Stage.PROBE)
    photograph = codec_of(path)
    most, scaled = limits.max_pixels, photograph is not None or is_still(path)
    if scaled:
        limits = replace(limits, max_pixels=_STILL_TIMES * most)
    _check_claims(path, limits)
    if photograph is None:
        open_on_trial(path, limits, Stage.PROBE)
        film, first = _scanned(path, limits, clock), _first_picture(path, limits, clock)
    else:
        film = _Film(ALONE, [], still=True, has_audio=False)
        first = _photographed(path, photograph, limits)
    size, lines, table, rates = first.shown, first.frame.height, film.table, film.rates
    if is_one_field(first.frame, first.codec, first.aspect):
        size, lines, table = (size[0], 2 * size[1]), 2 * lines, every_second(table)
        rates = [rate / 2 for rate in rates if rate]
    orientation = orientation_of(first.frame)
    width, height = delivered_size(size, first.aspect, orientation, options.max_height)
    if scaled:
        width, height = within(width, height, most)
    check_pixels(path, width, height, limits)
    grid = Grid(STILL_FPS, 1, False) if film.still else fit_grid(table, rates)
    color, source = delivered(path, first.frame, first.codec, lines)
    return VideoFacts(
        path=path,
        width=width,
        height=height,
        fps=grid.fps,
        frames=grid.frames,
        color=color,
        codec=first.codec,
        rotation=orientation.rotation,
        variable_rate=grid.variable,
        still=film.still or len(table.pts) == 1,
        has_audio=film.has_audio,
        scale=height / delivered_size(size, first.aspect, orientation, None)[1],
        source=source,
    )


class _Film(NamedTuple):
    """What the packets of a file say."""

    table: PictureTable
    rates: list[Fraction | None]
    """What the container says about the rate."""
    still: bool
    has_audio: bool


class _First(NamedTuple):
    """The first picture that decodes."""

    frame: VideoFrame
    codec: str
    aspect: Fraction
    """Of its pixels."""
    shown: Size
    """Of the part that is shown."""


def _scanned(path: Path, limits: Limits, clock: Clock) -> _Film:
    with open_media(path, limits, Stage.PROBE) as container:
        stream = _wanted(path, container, limits)
        still = container.format.name in PICTURES
        only(container, stream)
        table = scan_pictures(container, stream, limits, clock)
        if table is None:
            raise InputUnreadable(f"{path.name}: its video holds no picture", stage=Stage.PROBE)
        has_audio = bool(container.streams.audio) and not still
        return _Film(table, declared_rates(stream), still, has_audio)


def _check_claims(path: Path, limits: Limits) -> None:
    """Refuse by what a picture says of itself, before anything of it is decoded."""
    if is_animated_png(path):
        raise _animated(path, "PNG")
    if words_too_large(path):
        raise MediaLimitExceeded(
            f"{path.name}: its texts and profile unpack to more than {MOST_WORDS} bytes; save it "
            "without them",
            stage=Stage.PROBE,
            limit="png_words",
            max=MOST_WORDS,
        )
    claimed = claimed_size(path)
    if claimed is not None:
        check_pixels(path, *claimed, limits)
    check_work(path)


def _photographed(path: Path, codec: str, limits: Limits) -> _First:
    photograph = Photograph(path, limits, Stage.PROBE)
    check_pixels(path, *photograph.size(), limits)
    frame = photograph.go(0)
    return _First(frame, codec, Fraction(1), (frame.width, frame.height))


def _wanted(path: Path, container: InputContainer, limits: Limits) -> VideoStream:
    stream = video_stream(container)
    if stream is None:
        raise NoVideo(f"{path.name} has neither a video nor a picture", stage=Stage.PROBE)
    check_decoder(path, stream, Stage.PROBE)
    codec = stream.codec_context
    check_pixels(path, codec.width, codec.height, limits)
    if container.format.name in STATES_SECONDS:
        check_video_seconds(path, _header_seconds(container, stream), limits)
    return stream


def _header_seconds(container: InputContainer, stream: Stream) -> Fraction:
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    return (container.duration or 0) * _MICROSECOND


def _first_picture(path: Path, limits: Limits, clock: Clock) -> _First:
    with open_media(path, limits, Stage.PROBE) as container:
        stream = _wanted(path, container, limits)
        only(container, stream)
        codec = decoder_of(stream)
        words = Words.of(stream.codec_context)
        codec.options = {"max_pixels": str(limits.max_pixels)}
        codec.thread_count = 1
        for packet in packets(container, stream, clock):
            try:
                frames = decoded(codec, packet)
            except (FFmpegError, OSError):
                continue
            if frames:
                frame = frames[0]
                check_pixels(path, frame.width, frame.height, limits)
                words.put(path, frame)
                aspect = stream.sample_aspect_ratio or codec.sample_aspect_ratio or Fraction(1)
                own = codec is stream.codec_context
                name = codec.codec.canonical_name if own else codec.name
                margins = margins_of(container, stream) or Margins(0, 0, 0, 0)
                return _First(frame, name, aspect, margins.within(frame.width, frame.height))
    if is_animated_webp(path):
        raise _animated(path, "WebP")
    raise InputUnreadable(f"{path.name}: no picture of its video decodes", stage=Stage.PROBE)


def _animated(path: Path, kind: str) -> InputUnreadable:
    text = f"{path.name} is an animated {kind}, which is not read; save it as MP4 or GIF"
    return InputUnreadable(text, stage=Stage.PROBE)
