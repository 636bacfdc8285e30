"""Writing the output: H.264 and AAC in an MP4 that starts playing before it is fully loaded.

The frame clock is exact: the stream's time base is one frame, 1001/30000 s at 29.97. Nothing in the
file depends on the date or the machine, as long as x264 encodes (`pipeline.writing.x264`); a GPU's
encoder, where one is allowed (`pipeline.writing.nvenc`), makes other bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import torch
from av import VideoFrame
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.errors import EngineFailed, OutputInvalid
from pipeline.reading.plane_samples import samples
from pipeline.types import AudioFacts, Frame
from pipeline.writing import losses, nvenc, x264
from pipeline.writing.coding import Coding
from pipeline.writing.soundtrack import Soundtrack
from pipeline.writing.turns import Turns
from schemas.codes import Stage

_log = logging.getLogger(__name__)

Coder = Callable[[VideoFrame | None], "Iterable[Packet[VideoStream]]"]
"""Packets that a picture, or the end, brings out."""


class _Picture:
    """A picture for the encoder, and its planes' samples in the encoder's own memory."""

    def __init__(self, coding: Coding) -> None:
        width, height = coding.width, coding.height
        self.frame = VideoFrame(width, height, "yuv420p")
        self.frame.time_base = 1 / coding.fps
        sizes = ((height, width), *[(height // 2, width // 2)] * 2)
        with torch.inference_mode(False):  # so that a thread outside of that may write into them
            self.planes = [
                samples(plane, *size) for plane, size in zip(self.frame.planes, sizes, strict=True)
            ]


class Encoder:
    """Encodes one output; a context that removes the file when it is left by an error.

    Args:
        path: of the MP4; overwritten.
        audio: the speech, decoded again and written beside the picture.
        metadata: words for the container; keys of one's own survive.
        device: whose video unit encodes (`nvenc.chosen`); None: x264 does.

    Raises:
        losses.Lost: the device's encoder failed in the midst; also what `write` and `close` raise.
        OSError: the disk is full, or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        coding: Coding,
        *,
        audio: AudioFacts,
        frames: int,
        metadata: dict[str, str],
        device: str | None = None,
    ) -> None:
        self._path = path
        self._coding = coding
        self._frames = frames
        self._count = 0
        self._closed = False
        self._device = device
        self.warnings: list[str] = []
        """What is to be known of how it was encoded."""
        # x264 copies a picture before `encode` returns, so that two of them do for all.
        self._pictures = [_Picture(coding) for _ in range(2)]
        with ExitStack() as stack:
            stack.callback(self._remove)
            self._container = _container(path, metadata)
            coded = None if device is None else self._on_device(device)
            if device is not None and coded is None:
                self._device = None
                self._container.close()  # nothing was written
                self._container = _container(path, metadata)
            stack.enter_context(self._container)
            self._coded = coded or self._on_processors()
            self._sound = stack.enter_context(Soundtrack(self._container, audio))
            self._open = stack.pop_all()

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif not self._closed:
            self._closed = True
            try:
                self._open.close()
            except (av.FFmpegError, OSError):
                self._remove()  # the first error is the one to tell

    def write(self, frame: Frame) -> None:
        """Encode one frame, and the sound up to its time.

        Raises:
            EngineFailed: the frame has another size.
            OSError: the disk is full, or the file cannot be written.
        """
        width, height = self._coding.width, self._coding.height
        if frame.y.shape != (height, width):
            raise EngineFailed(
                f"a frame is {frame.width}x{frame.height} instead of {width}x{height}",
                stage=Stage.ENCODE,
            )
        self._container.mux(self._sound.until(self._count, self._coding.fps))
        self._encode(self._picture(frame))
        self._count += 1

    def close(self) -> None:
        """Finish the file. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._check_count()
            self._container.mux(self._sound.rest())
            self._encode(None)
            self._container.close()
        except BaseException:
            self._open.close()
            raise
        if self._device is not None:
            losses.end(self._device)
        self._open.pop_all()
        self._sound.__exit__(None, None, None)

    def _on_processors(self) -> Coder:
        """x264; the stream's own encoder makes the header alone."""
        coding = self._coding
        options = x264.options(coding.crf, coding.width, coding.height)
        stream = _video(self._container, x264.CODEC, coding, options)
        x264.set_threads(stream.codec_context, coding.width, coding.height)
        return Turns(stream, coding).encode

    def _on_device(self, device: str) -> Coder | None:
        """The device's encoder, which works with threads of its own; None where it opens no more.

        That it once did says nothing: consumer cards encode few films at a time, of all processes.
        """
        options = nvenc.options(self._coding.crf)
        stream = _video(self._container, nvenc.CODEC, self._coding, options)
        try:
            stream.codec_context.open()
        except (av.FFmpegError, OSError) as error:
            reason = str(error) or type(error).__name__
            text = f"encoded by x264, as the GPU's encoder had no session free: {reason}"
            _log.warning("%s: %s", self._path.name, text)
            self.warnings.append(text)
            return None
        began = losses.begin(device)

        def coded(picture: VideoFrame | None) -> list[Packet[VideoStream]]:
            try:
                return stream.encode(picture)
            except av.FFmpegError as error:
                losses.lose(device, began)
                raise losses.Lost(str(error) or type(error).__name__) from error

        return coded

    def _encode(self, picture: VideoFrame | None) -> None:
        for packet in self._coded(picture):
            self._container.mux(packet)

    def _check_count(self) -> None:
        if self._count != self._frames:
            raise OutputInvalid(
                f"{self._count} frames were written instead of {self._frames}",
                stage=Stage.ENCODE,
            )

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _picture(self, frame: Frame) -> VideoFrame:
        picture = self._pictures[self._count % len(self._pictures)]
        torch._foreach_copy_(picture.planes, [frame.y, frame.u, frame.v])
        picture.frame.pts = self._count
        return picture.frame


def _container(path: Path, metadata: dict[str, str]) -> OutputContainer:
    container = av.open(
        f"file:{path.absolute()}",
        mode="w",
        format="mp4",
        # Without use_metadata_tags the muxer drops every key that iTunes does not know.
        container_options={
            "movflags": "faststart+use_metadata_tags+write_colr",
            "fflags": "bitexact",  # no version, no date
            "movie_timescale": "90000",  # edit lists to 11 µs instead of 1 ms
        },
    )
    container.metadata.update(metadata)
    return container


def _video(
    container: OutputContainer, codec_name: str, coding: Coding, options: dict[str, str]
) -> VideoStream:
    stream = cast(VideoStream, container.add_stream(codec_name, rate=coding.fps, options=options))
    stream.time_base = 1 / coding.fps
    coding.configure(stream.codec_context)
    return stream
