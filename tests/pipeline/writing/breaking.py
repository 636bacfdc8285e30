"""A device's encoder that works, and one that fails in the midst of a film, without a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from av import VideoFrame
from av.error import ExternalError
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.writing import encode, nvenc
from pipeline.writing.coding import Coding


class Breaking:
    """A stream whose encoder fails at one of its pictures; the end is one, too."""

    def __init__(self, stream: VideoStream, at: int) -> None:
        self._stream = stream
        self._left = at
        self.codec_context = stream.codec_context

    def encode(self, picture: VideoFrame | None) -> list[Packet[VideoStream]]:
        self._left -= 1
        if self._left < 0:
            raise ExternalError(1, "the device has gone", "nvenc")
        return self._stream.encode(picture)


def stand_in(patch: pytest.MonkeyPatch) -> None:
    """MPEG-4 is what a device's encoder makes: everybody has it."""
    patch.setattr(nvenc, "CODEC", "mpeg4")
    patch.setattr(nvenc, "options", lambda crf: {"qscale": "2"})


def unsteady(patch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Tell what this returns at which picture of each film the device's encoder is to fail."""
    whole = encode._video
    breaking: list[int | None] = [None]

    def video(container: Any, name: str, coding: Coding, options: dict[str, str]) -> Any:
        stream = whole(container, name, coding, options)
        at = breaking[0]
        return stream if at is None or name != nvenc.CODEC else Breaking(stream, at)

    def at(picture: int | None) -> None:
        breaking[0] = picture

    patch.setattr(encode, "_video", video)
    return at
