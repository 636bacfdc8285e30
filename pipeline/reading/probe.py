"""What the inputs are, by limits first: headers, then packets, and only then one picture.

Headers lie, so seconds are checked twice, and frames and samples are counted.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import sqrt
from pathlib import Path

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
    check_decoder,
    check_file,
    is_still,
    only,
    open_media,
    packets,
)
from pipeline.reading.grid import STILL_FPS, Grid, PictureTable, fit_grid
from pipeline.reading.limits import check_pixels, check_video_seconds
from pipeline.reading.photograph import Photograph, codec_of
from pipeline.reading.picture_size import claimed_size, is_animated_png, is_animated_webp
from pipeline.reading.picture_work import check_work
from pipeline.reading.png_words import MOST_WORDS, words_too_large
from pipeline.reading.scan import declared_rates, scan_pictures, video_stream
from pipeline.reading.trial import open_on_trial
from pipeline.reading.upright import Orientation, orientation_of
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
        limits = _for_stills(limits)
    _check_claims(path, limits)
    if photograph is not None:
        return _probe_photograph(path, photograph, most, limits, options)
    open_on_trial(path, limits, Stage.PROBE)
    with open_media(path, limits, Stage.PROBE) as container:
        stream = _wanted(path, container, limits)
        still = container.format.name in PICTURES
        only(container, stream)
        table = scan_pictures(container, stream, limits, clock)
        rates = declared_rates(stream)
        has_audio = bool(container.streams.audio) and not still
    if table is None:
        raise InputUnreadable(f"{path.name}: its video holds no picture", stage=Stage.PROBE)
    frame, aspect, codec = _first_picture(path, limits, clock)
    orientation = orientation_of(frame)
    width, height = _delivered_size(frame, aspect, orientation, options.max_height)
    if scaled:
        width, height = _within(width, height, most)
    check_pixels(path, width, height, limits)
    grid = Grid(STILL_FPS, 1, False) if still else fit_grid(table, rates)
    color, source = delivered(path, frame, codec)
    return VideoFacts(
        path=path,
        width=width,
        height=height,
        fps=grid.fps,
        frames=grid.frames,
        color=color,
        codec=codec,
        rotation=orientation.rotation,
        variable_rate=grid.variable,
        still=still or _one_picture(table),
        has_audio=has_audio,
        scale=height / _delivered_size(frame, aspect, orientation, None)[1],
        source=source,
    )


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


def _probe_photograph(
    path: Path, codec: str, most: int, limits: Limits, options: RenderOptions
) -> VideoFacts:
    photograph = Photograph(path, limits, Stage.PROBE)
    check_pixels(path, *photograph.size(), limits)
    frame = photograph.go(0)
    upright, square = orientation_of(frame), Fraction(1)
    width, height = _delivered_size(frame, square, upright, options.max_height)
    width, height = _within(width, height, most)
    color, source = delivered(path, frame, codec)
    return VideoFacts(
        path=path,
        width=width,
        height=height,
        fps=STILL_FPS,
        frames=1,
        color=color,
        codec=codec,
        rotation=0,
        variable_rate=False,
        still=True,
        has_audio=False,
        scale=height / _delivered_size(frame, square, upright, None)[1],
        source=source,
    )


def _for_stills(limits: Limits) -> Limits:
    return replace(limits, max_pixels=_STILL_TIMES * limits.max_pixels)


def _one_picture(table: PictureTable) -> bool:
    return len(table.pts) == 1


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


def _first_picture(path: Path, limits: Limits, clock: Clock) -> tuple[VideoFrame, Fraction, str]:
    """The first picture that decodes, its pixels' aspect ratio, and the codec's name."""
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
                return frame, aspect, codec.codec.canonical_name if own else codec.name
    if is_animated_webp(path):
        raise _animated(path, "WebP")
    raise InputUnreadable(f"{path.name}: no picture of its video decodes", stage=Stage.PROBE)


def _animated(path: Path, kind: str) -> InputUnreadable:
    text = f"{path.name} is an animated {kind}, which is not read; save it as MP4 or GIF"
    return InputUnreadable(text, stage=Stage.PROBE)


def _delivered_size(
    frame: VideoFrame, aspect: Fraction, orientation: Orientation, max_height: int | None
) -> tuple[int, int]:
    """Upright, with square pixels, scaled down, cropped to even."""
    wide = Fraction(frame.width)
    if Fraction(1, 4) <= aspect <= 4 and aspect != 1:
        wide *= aspect
    width, height = (
        (Fraction(frame.height), wide) if orientation.transpose else (wide, Fraction(frame.height))
    )
    if max_height is not None and height > max_height:
        width, height = width * max_height / height, Fraction(max_height)
    return _even(width), _even(height)


def _within(width: int, height: int, most: int) -> tuple[int, int]:
    """The size, or the largest of the same shape that has no more pixels."""
    share = min(1.0, sqrt(most / (width * height)))
    return _even(Fraction(width * share)), _even(Fraction(height * share))


def _even(side: Fraction) -> int:
    return max(2, int(side) // 2 * 2)
