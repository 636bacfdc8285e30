"""x264 encoders that write one stream in turn.

libavcodec changes no bound of the quantiser midway. Where it must change, an encoder ends and the
next begins, with a key picture. Both make the same header: the bound is no part of it.
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


class Turns:
    """Encodes the pictures of a stream.

    Args:
        stream: of the output. Its own encoder is opened for the header and encodes nothing.
    """

    def __init__(self, stream: VideoStream, coding: Coding) -> None:
        self._stream = stream
        self._coding = coding
        self._bound = Bound(coding.crf, coding.width, coding.height)
        self._looked = False
        self._begin()

    def encode(self, picture: VideoFrame | None) -> list[Packet[VideoStream]]:
        """Packets that a picture, or the end, brings out."""
        packets: list[Packet[VideoStream]] = []
        if picture is not None and self._is_time() and self._bound.judge():
            packets = self._ask(None)
            self._bound.forget()
            self._begin()
        self._count += 1
        packets += self._ask(picture)
        return packets

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
