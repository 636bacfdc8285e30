"""Reading a video stream's packets without decoding them: what is really there, and when."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.reading.container import CHAINED, CUT, Clock, only, packets
from pipeline.reading.grid import PictureTable, make_table
from pipeline.reading.limits import check_video_seconds
from pipeline.reading.splices import Splices
from pipeline.types import Limits

_GUESSING = ("avi", "mxf")
"""Containers that count packets: with pictures out of order libavformat's time stamps are
guesses."""
_DECODING, _UNORDERED = "asf", ("h264", "hevc")
"""A container that tells when pictures are decoded; libavformat knows when those of all other
codecs are shown then."""
_COVERS = ("mjpeg", "png", "bmp", "webp")
"""Codecs of cover art; of films, too, but hardly beside another film."""
_NOT_MOVING = Disposition.attached_pic | Disposition.timed_thumbnails


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream that is watched: the default one, then the largest; never cover art.

    Nor cover art that is a track like any other, of one picture beside a film. Of two as large one
    that moves: a film in AVIF has its title picture before it.
    """
    moving = [s for s in container.streams.video if not s.disposition & _NOT_MOVING]
    if not moving:
        return None
    longest = max(s.frames for s in moving)
    return max(
        moving,
        key=lambda s: (
            s.codec_context is not None and not _may_be_cover(s, longest),
            bool(s.disposition & Disposition.default),
            (s.codec_context.width * s.codec_context.height) if s.codec_context else 0,
            s.frames != 1,
            -s.index,
        ),
    )


def _may_be_cover(stream: VideoStream, longest: int) -> bool:
    """Whether a stream is coded as covers are, and not known to have most of the pictures."""
    return stream.codec_context.name in _COVERS and 2 * stream.frames <= longest


class _Length:
    """How long recordings last that follow each other in a stream, in its ticks."""

    def __init__(self) -> None:
        self._before = 0
        self._first: int | None = None
        self.end: int | None = None
        """Of the last recording, on its own clock."""

    def end_recording(self) -> None:
        self._before, self._first, self.end = self.ticks, None, None

    def add(self, pts: int, duration: int) -> None:
        """Count a picture of the recording that is read."""
        self._first = pts if self._first is None else min(self._first, pts)
        self.end = max(pts + duration, pts if self.end is None else self.end)

    @property
    def ticks(self) -> int:
        if self._first is None or self.end is None:
            return self._before
        return self._before + self.end - self._first


def scan_pictures(
    container: InputContainer, stream: VideoStream, limits: Limits, clock: Clock | None
) -> PictureTable | None:
    """List the pictures of a stream by its packets; None when there is not one.

    Raises:
        MediaLimitExceeded: they last longer than `max_video_s`, or scanning takes too long.
    """
    base, path = stream.time_base, Path(container.name)
    # In the stream's ticks, as making a fraction of each packet takes longer than reading it.
    most = math.inf
    if base is not None and math.isfinite(limits.max_video_s):
        most = math.floor(Fraction(limits.max_video_s) / base)
    splices = Splices(container, stream, limits, clock)
    length = _Length()
    shown: list[int | None] = []
    keys: list[tuple[int | None, int | None]] = []
    lead = 0  # packets before the first keyframe
    for packet in packets(container, stream, clock):
        if packet.size == 0:
            continue
        pts = packet.pts
        if splices.before(packet.dts):
            length.end_recording()
        if packet.is_keyframe:
            keys.append((pts, packet.dts))
        lead += not keys
        if packet.is_discard:
            continue
        shown.append(pts)
        if pts is not None:
            length.add(pts, packet.duration or 0)
            if base is not None and length.ticks > most:
                check_video_seconds(path, length.ticks * base, limits)
    if not shown:
        return None
    if container.format.name in CUT:
        shown = shown[lead:] if splices.found and keys else _decodable(shown, keys, lead)
    elif container.format.name in CHAINED:
        shown = [pts for pts in shown if pts is not None] or shown
    # Where recordings were joined, pictures of two of them lie at one time.
    reliable = not (_is_guessed(container, stream) or splices.found)
    return make_table(shown, length.end, keys, base, stream.average_rate, reliable)


def _is_guessed(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the times of pictures are libavformat's guesses: of none that is out of order."""
    kind, codec = container.format.name, stream.codec_context
    return (kind in _GUESSING and codec.reorder_depth > 0) or (
        kind == _DECODING and codec.name in _UNORDERED
    )


def first_shown(container: InputContainer) -> Fraction | None:
    """When the first picture begins that `scan_pictures` lists; None where it is not known.

    Args:
        container: just opened, and for nothing else where it may be cut anywhere.
    """
    stream = video_stream(container)
    if stream is None or stream.start_time is None or stream.time_base is None:
        return None
    if container.format.name in CUT:
        only(container, stream)
        lead = False
        for packet in packets(container, stream, None):
            if packet.is_keyframe and packet.pts is not None:
                return (packet.pts if lead else stream.start_time) * stream.time_base
            lead = lead or packet.size > 0
    return stream.start_time * stream.time_base


def _decodable(
    shown: list[int | None], keys: list[tuple[int | None, int | None]], lead: int
) -> list[int | None]:
    """Pictures without those before the first keyframe of a film that was cut there.

    One picture would stand still for them.
    """
    begin = keys[0][0] if lead and keys else None
    if begin is None:
        return shown
    return [pts for pts in shown[lead:] if pts is None or pts >= begin]


def declared_rates(stream: VideoStream) -> list[Fraction | None]:
    """What the container says about the rate."""
    return [stream.average_rate, stream.guessed_rate, stream.base_rate]
