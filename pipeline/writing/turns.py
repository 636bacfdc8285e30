"""x264 encoders that write one stream in turn.

libavcodec changes no bound of the quantiser midway. Where it must change, an encoder ends and the
next begins, with a key picture. Both make the same header: the bound is no part of it. The first
pictures, unless they are large, are kept until enough are done to judge by, and encoded again where
that must be.
"""

from __future__ import annotations

from typing import cast

from av import VideoFrame
from av.codec.context import CodecContext, Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pipeline.writing import x264
from pipeline.writing.coding import Coding
from pipeline.writing.fidelity import FIRST_LOOK, Bound, squares_of
from pipeline.writing.permits import encoding

KEPT_PIXELS = 1280 * 720
"""Of a picture, at most, for its like to be kept: 19 of them take 26 MB, 24 of 1080p would 75."""


class _First:
    """The first pictures, and the packets that they brought out."""

    def __init__(self) -> None:
        self.pictures: list[VideoFrame] = []
        self.packets: list[Packet[VideoStream]] = []


class Turns:
    """Encodes the pictures of a stream of the output, whose own encoder makes the header alone."""

    def __init__(self, stream: VideoStream, coding: Coding) -> None:
        self._stream = stream
        self._coding = coding
        self._bound = Bound(coding.crf, coding.width, coding.height)
        self._looked = coding.width * coding.height <= KEPT_PIXELS
        self._first = _First() if self._looked else None
        self._begin()

    def encode(self, picture: VideoFrame | None) -> list[Packet[VideoStream]]:
        """Packets that a picture, or the end, brings out; of small ones, none before a look."""
        if self._first is not None:
            return self._look(self._first, picture)
        packets: list[Packet[VideoStream]] = []
        if picture is not None and self._is_time() and self._bound.judge():
            packets = self._ask(None)
            self._bound.forget()
            self._begin()
        return packets + self._ask(picture)

    def _look(self, first: _First, picture: VideoFrame | None) -> list[Packet[VideoStream]]:
        """Keep what the first pictures brought out until it may go, or is made once more."""
        first.packets += self._ask(picture)
        if picture is not None:
            first.pictures.append(_copy(picture))
            if self._bound.seen < FIRST_LOOK:
                return []
        self._first = None
        if not self._bound.judge():
            return first.packets
        self._bound.begin_again()
        self._begin()
        again: list[VideoFrame | None] = [*first.pictures]
        return [packet for one in again + [None] * (picture is None) for packet in self._ask(one)]

    def _is_time(self) -> bool:
        """A key picture comes anyway; or enough is known to mend what is wrong from the start."""
        if not self._looked:
            self._looked = self._bound.seen >= FIRST_LOOK
            return self._looked
        return self._count % self._codec.gop_size == 0

    def _begin(self) -> None:
        codec = cast(VideoCodecContext, CodecContext.create(x264.CODEC, "w"))
        coding = self._coding
        coding.configure(codec)
        codec.options = x264.options(
            coding.crf, coding.width, coding.height, bound=self._bound.value
        )
        codec.flags |= Flags.psnr.value | Flags.global_header.value
        self._threads = x264.set_threads(codec, coding.width, coding.height)
        self._codec, self._count = codec, 0

    def _ask(self, picture: VideoFrame | None) -> list[Packet[VideoStream]]:
        self._count += 1
        held = encoding.take(self._threads)
        try:
            packets = self._codec.encode(picture)
        finally:
            encoding.give(held)
        for packet in packets:
            packet.stream = self._stream
            squares = squares_of(packet)
            if squares is not None:
                self._bound.see(squares)
        return packets


def _copy(picture: VideoFrame) -> VideoFrame:
    """A picture in memory of its own: its caller writes the next ones into the same."""
    copy = VideoFrame(picture.width, picture.height, picture.format.name)
    for plane, of in zip(copy.planes, picture.planes, strict=True):
        plane.update(bytes(of))
    copy.pts, copy.time_base = picture.pts, picture.time_base
    return copy
