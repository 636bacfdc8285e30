"""Reading the finished MP4 back before anybody is told that it exists."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av import FFmpegError
from av.audio.stream import AudioStream
from av.container import InputContainer

from pipeline.errors import InputError, OutputInvalid
from pipeline.reading.container import only, open_media, packets
from pipeline.reading.grid import PictureTable
from pipeline.reading.limits import TRUSTED
from pipeline.reading.scan import scan_pictures, video_stream
from pipeline.timeline import Timeline
from pipeline.types import AudioFacts
from pipeline.writing.soundtrack import output_rate
from schemas.codes import Stage
from schemas.render import MediaFacts

_START_SLACK = Fraction(1, 50)
"""Seconds by which sound and picture may start apart."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A whole output."""

    media: MediaFacts
    ends: dict[str, float]
    """How much later than the picture the sound starts and ends, ms, by the names that
    `pipeline.evaluate` has for it."""


def verify(output: Path, timeline: Timeline, audio: AudioFacts) -> Verified:
    """Re-open the output and compare it with what was planned.

    Raises:
        OutputInvalid: it does not open, a stream is missing, or a count, rate or length is wrong.
    """
    try:
        with open_media(output, TRUSTED, Stage.VERIFY) as container:
            return _facts(output, container, timeline, audio)
    except InputError as error:
        raise OutputInvalid(
            f"the output cannot be read back: {error.message}", stage=Stage.VERIFY
        ) from error


def _facts(
    output: Path, container: InputContainer, timeline: Timeline, audio: AudioFacts
) -> Verified:
    video = video_stream(container)
    if video is None:
        raise OutputInvalid("the output has no video", stage=Stage.VERIFY)
    table = scan_pictures(container, video, TRUSTED, None)
    frames = len(table.pts) if table is not None else 0
    _equal("frames", frames, timeline.frames)
    assert table is not None
    _check_clock(table, timeline)
    _check_keyframes(output, table)
    first, last, rate = _sound_span(output)
    _equal("audio_rate", rate, output_rate(audio.rate))
    _check_sound(first, last, audio.duration, slack=1 / timeline.fps)
    codec = video.codec_context
    media = MediaFacts(
        width=codec.width,
        height=codec.height,
        fps=f"{timeline.fps.numerator}/{timeline.fps.denominator}",
        frames=frames,
        duration_s=float(table.duration),
        video_codec=codec.name,
        audio_codec="aac",
        audio_rate=rate,
    )
    begin, end = int(table.pts[0]) * table.time_base, table.end * table.time_base
    ends = {
        "start_difference_ms": round(1000 * float(first - begin), 1),
        "end_difference_ms": round(1000 * float(last - end), 1),
    }
    return Verified(media, ends)


def _equal(what: str, found: int, planned: int) -> None:
    if found != planned:
        raise OutputInvalid(
            f"the output has {what} {found} instead of {planned}",
            stage=Stage.VERIFY,
            found=found,
            planned=planned,
        )


def _check_clock(table: PictureTable, timeline: Timeline) -> None:
    """The picture starts at 0 and every frame lasts exactly one period."""
    tick = table.time_base
    if abs(int(table.pts[0]) * tick) > tick:
        raise OutputInvalid("the picture does not start at 0", stage=Stage.VERIFY)
    if abs(table.duration - timeline.duration) > tick:
        raise OutputInvalid(
            f"the picture lasts {float(table.duration):.3f} s instead of"
            f" {float(timeline.duration):.3f} s",
            stage=Stage.VERIFY,
        )


def _check_sound(first: Fraction, last: Fraction, wanted: Fraction, slack: Fraction) -> None:
    """The sound starts with the picture and lasts as long as the speech; all in seconds."""
    if first > _START_SLACK:
        raise OutputInvalid(f"sound starts {float(first):.3f} s late", stage=Stage.VERIFY)
    if abs(last - wanted) > slack:
        raise OutputInvalid(
            f"sound lasts {float(last):.3f} s instead of {float(wanted):.3f} s",
            stage=Stage.VERIFY,
        )


def _check_keyframes(output: Path, table: PictureTable) -> None:
    """Every keyframe decodes: one in two seconds, which costs next to nothing."""
    with open_media(output, TRUSTED, Stage.VERIFY) as container:
        stream = video_stream(container)
        assert stream is not None
        only(container, stream)
        stream.codec_context.skip_frame = "NONKEY"
        stream.codec_context.thread_count = 1
        decoded = 0
        for packet in packets(container, stream, None):
            try:
                decoded += len(packet.decode())
            except (FFmpegError, OSError) as error:
                raise OutputInvalid(
                    f"a picture of the output does not decode: {error}", stage=Stage.VERIFY
                ) from error
    if decoded != len(table.keys):
        raise OutputInvalid(
            f"{decoded} of {len(table.keys)} keyframes of the output decode", stage=Stage.VERIFY
        )


def _sound_span(output: Path) -> tuple[Fraction, Fraction, int]:
    """Begin and end of the sound that is heard, seconds, and its rate."""
    with open_media(output, TRUSTED, Stage.VERIFY) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream) or stream.time_base is None:
            raise OutputInvalid("the output has no sound", stage=Stage.VERIFY)
        only(container, stream)
        first: int | None = None
        last = 0
        for packet in packets(container, stream, None):
            if packet.size == 0 or packet.pts is None:
                continue
            first = packet.pts if first is None else min(first, packet.pts)
            last = max(last, packet.pts + (packet.duration or 0))
        if first is None:
            raise OutputInvalid("the output's sound holds nothing", stage=Stage.VERIFY)
        # Priming lies before 0: the edit list hides it.
        base = stream.time_base
        return max(first, 0) * base, last * base, stream.codec_context.sample_rate
