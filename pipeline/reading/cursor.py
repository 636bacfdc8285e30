"""A place in a video stream: seek by time stamp, decode onwards, hold over what is broken."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from av import FFmpegError, VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.reading.alpha_decoder import decoded, decoder_of
from pipeline.reading.container import CHAINED, CUT, only, open_media, packets
from pipeline.reading.grid import PictureTable
from pipeline.reading.limits import TRUSTED
from pipeline.reading.scan import video_stream
from schemas.codes import Stage

_SKIP_MARGIN = 8
"""Pictures before a wanted one that are decoded in full, so that holding finds the newest."""


class Picture(NamedTuple):
    """One decoded picture and its number in presentation order."""

    number: int
    frame: VideoFrame


class Cursor:
    """Decodes one stream in presentation order, from any picture on.

    Args:
        container: open, read by nobody else.
        max_pixels: above which the decoder refuses a picture in the middle of the stream.
        strict: raise what does not decode instead of stepping over it. A device that fails now and
            then would else show a still picture where libavcodec's own decoder has them all.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        table: PictureTable,
        threads: int,
        max_pixels: int,
        strict: bool = False,
    ) -> None:
        self._container = container
        self._stream = stream
        self._table = table
        self._strict = strict
        self._cut = container.format.name in CUT
        self._joined = container.format.name in CHAINED and not table.timed
        codec = self._codec = stream.codec_context if strict else decoder_of(stream)
        codec.options = {"max_pixels": str(max_pixels)}
        codec.thread_count = threads
        codec.thread_type = "AUTO"
        self._reorder = codec.reorder_depth
        self._keys = [pts for pts, _ in table.keys]
        self._pts: list[int] = table.pts.tolist()
        self._pictures: Iterator[Picture] = self._decode(0)
        self._held: Picture | None = None
        self._ahead: Picture | None = None
        self._from_start = True
        self._seek_number = 0

    def close(self) -> None:
        """Close the file where it was opened once more: nothing else does at once."""
        self._pictures = iter(())

    @property
    def position(self) -> int:
        """Number of the picture that is held; -1 before the first."""
        return self._held.number if self._held is not None else -1

    def key_before(self, number: int) -> int:
        """Number of the picture from which decoding to `number` has to start."""
        if not self._table.timed:
            return 0
        place = bisect_right(self._keys, self._pts[number]) - 1
        return bisect_left(self._pts, self._keys[place]) if place >= 0 else 0

    def go(self, number: int) -> VideoFrame | None:
        """The picture of a number, or the newest good one before it; for the first, one after.

        Runs on where that is cheap, else seeks. None when nothing decodes.
        """
        if number < self.position or self._key_between(number):
            self._seek(number)
        found = self._advance(number)
        while found is None and not self._from_start:
            # Everything from that keyframe on is broken: what is held lies before it.
            self._seek(self._seek_number - 1)
            found = self._advance(number)
        if found is None and self._ahead is not None:
            found = self._ahead
        return found.frame if found is not None else None

    def _advance(self, number: int) -> Picture | None:
        while self._held is None or self._held.number < number:
            if self._ahead is None:
                self._ahead = next(self._pictures, None)
            if self._ahead is None or self._ahead.number > number:
                break
            self._held, self._ahead = self._ahead, None
        return self._held

    def _key_between(self, number: int) -> bool:
        """Whether a later keyframe than that of the held picture leads to the wanted one."""
        if not self._table.timed or number - self.position <= 2 * _SKIP_MARGIN:
            return False
        here = self._pts[max(0, self.position)]
        there = self._pts[number]
        return bisect_right(self._keys, there) - 1 > bisect_right(self._keys, here)

    def _seek(self, number: int) -> None:
        """Stand at the last keyframe from which picture `number` can be decoded."""
        self._held = self._ahead = None
        self._seek_number = max(0, number)
        if self._table.timed:
            wanted = self._pts[self._seek_number]
            place = bisect_right(self._keys, wanted) - 1
            while place > 0:
                pts, dts = self._table.keys[place]
                for stamp in {pts: None, dts: None}:
                    first = self._try(stamp, wanted)
                    if first is not None:
                        self._seek_number = bisect_left(self._pts, pts)
                        self._from_start = False
                        self._pictures = self._decode(number, first)
                        return
                place -= 1
        self._rewind(number)

    def _try(self, stamp: int, wanted: int) -> Iterator[Packet[Any]] | None:
        """Packets from a keyframe at or before `wanted`, if seeking to `stamp` leads to one."""
        try:
            self._container.seek(stamp, stream=self._stream, backward=True)
            self._flush()
        except (FFmpegError, OSError):
            return None
        stream = packets(self._container, self._stream, None)
        for packet in stream:
            if packet.is_keyframe and packet.pts is not None:
                return _chain(packet, stream) if packet.pts <= wanted else None
            if packet.size == 0:
                return None
        return None

    def _rewind(self, number: int) -> None:
        self._from_start = True
        self._seek_number = 0
        first = self._table.keys[0][1] if self._table.timed and self._table.keys else None
        source = None if self._joined else self._from(first)
        if source is None and self._codec.is_open:
            self._codec.flush_buffers()
        self._pictures = self._decode(number, source or self._anew())

    def _from(self, most: int | None) -> Iterator[Packet[Any]] | None:
        """Packets from a time on; None where none comes, or only from beyond it."""
        try:
            self._container.seek(most or 0, stream=self._stream, backward=True)
        except (FFmpegError, OSError):
            return None
        self._flush()
        source = packets(self._container, self._stream, None)
        packet = next(source)
        beyond = packet.size == 0 if packet.dts is None else most is not None and packet.dts > most
        return None if beyond else _chain(packet, source)

    def _anew(self) -> Iterator[Packet[Any]]:
        """Packets of the file opened once more: no seek leads to its start, or beyond a joint.

        Raises:
            InputUnreadable: it cannot be opened any more.
        """
        path = Path(self._container.name.removeprefix("file:"))
        with open_media(path, TRUSTED, Stage.DECODE) as container:
            stream = container.streams[self._stream.index]
            only(container, stream)
            yield from packets(container, stream, None)

    def _flush(self) -> None:
        """What a seek does for the stream's own decoder."""
        if self._codec is not self._stream.codec_context and self._codec.is_open:
            self._codec.flush_buffers()

    def _decode(
        self, wanted: int, source: Iterator[Packet[Any]] | None = None
    ) -> Iterator[Picture]:
        """Pictures in presentation order; damaged ones are left out."""
        codec = self._codec
        codec.reorder_depth = self._reorder  # a flush forgets it, and the first pictures with it
        in_full = self._in_full_from(wanted)
        skipped: bool | None = None
        counted = 0
        for packet in source or packets(self._container, self._stream, None):
            skip = in_full is not None and packet.pts is not None and packet.pts < in_full
            if skip is not skipped:
                codec.skip_frame, skipped = "NONREF" if skip else "DEFAULT", skip
            try:
                frames = decoded(codec, packet)
            except (FFmpegError, OSError):
                if self._strict:
                    raise
                continue
            for frame in frames:
                number = self._number(frame, counted)
                counted += 1
                if number is not None and not frame.is_corrupt:
                    yield Picture(number, frame)

    def _in_full_from(self, wanted: int) -> int | None:
        if not self._table.timed or wanted <= _SKIP_MARGIN:
            return None
        return self._pts[wanted - _SKIP_MARGIN]

    def _number(self, frame: VideoFrame, counted: int) -> int | None:
        if not self._table.timed:
            return counted
        pts = frame.pts
        if pts is None or (self._cut and pts < self._pts[0]):
            return None
        return max(0, bisect_right(self._pts, pts) - 1)


def _chain(first: Packet[Any], rest: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    yield first
    yield from rest


@contextmanager
def open_cursor(path: Path, table: PictureTable) -> Iterator[Cursor | None]:
    """A film opened for a few looks at its pictures; None where no picture is left.

    Raises:
        InputUnreadable: it cannot be opened any more.
    """
    with open_media(path, TRUSTED, Stage.DECODE) as container:
        stream = video_stream(container)
        if stream is None:
            yield None
            return
        only(container, stream)
        with closing(Cursor(container, stream, table, 1, TRUSTED.max_pixels)) as cursor:
            yield cursor
