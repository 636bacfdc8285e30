"""Writing the output: H.264 and AAC in an MP4 that starts playing before it is fully loaded.

The frame clock is exact: the stream's time base is one frame, 1001/30000 s at 29.97. Nothing in the
file depends on the date or the machine, as long as x264 encodes (`pipeline.writing.x264`); a GPU's
encoder, where one is allowed (`pipeline.writing.nvenc`), makes other bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import torch
from av import VideoFrame
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pipeline.errors import EngineFailed, OutputInvalid
from pipeline.reading.upright import samples
from pipeline.types import AudioFacts, Color, Frame
from pipeline.writing import nvenc, x264
from pipeline.writing.soundtrack import Soundtrack
from pipeline.writing.turns import Turns
from schemas.codes import Stage

_log = logging.getLogger(__name__)
_GOP_S = 2
_LIMITED, _FULL = 1, 2

Coder = Callable[[VideoFrame | None], "Iterable[Packet[VideoStream]]"]
"""Packets that a picture, or the end, brings out."""


class _Picture:
    """A picture for the encoder, and its planes' samples in the encoder's own memory."""

    def __init__(self, width: int, height: int, tick: Fraction) -> None:
        self.frame = VideoFrame(width, height, "yuv420p")
        self.frame.time_base = tick
        sizes = ((height, width), *[(height // 2, width // 2)] * 2)
        with torch.inference_mode(False):  # so that a thread outside of that may write into them
            self.planes = [
                samples(plane, *size) for plane, size in zip(self.frame.planes, sizes, strict=True)
            ]


class Encoder:
    """Encodes one output; a context that removes the file when it is left by an error.

    Args:
        path: of the MP4; overwritten.
        width: even.
        height: even.
        fps: frames per second, exactly.
        color: tags of the stream and the container; planes are taken as they are.
        crf: x264's constant rate factor.
        audio: the speech, decoded again and written beside the picture.
        frames: that will be written.
        metadata: words for the container; keys of one's own survive.
        device: of the job; its video unit may be allowed to encode (`pipeline.hardware`).

    Raises:
        EngineUnavailable: a GPU's encoder is demanded, and there is none.
        OSError: the disk is full, or the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: Fraction,
        color: Color,
        crf: int,
        audio: AudioFacts,
        frames: int,
        metadata: dict[str, str],
        device: str = "cpu",
    ) -> None:
        self._path = path
        self._shape = (height, width)
        self._fps = fps
        self._color = color
        self._frames = frames
        self._count = 0
        self._closed = False
        self.warnings: list[str] = []
        """What is to be known of how it was encoded."""
        # x264 copies a picture before `encode` returns, so that two of them do for all.
        self._pictures = [_Picture(width, height, 1 / fps) for _ in range(2)]
        with ExitStack() as stack:
            stack.callback(self._remove)

            def configure(codec: VideoCodecContext) -> None:
                _configure(codec, width, height, fps, color)

            wants_device = nvenc.chosen(device)
            self._container = _container(path, metadata)
            coded = self._on_device(crf, configure) if wants_device else None
            if wants_device and coded is None:
                self._container.close()  # nothing was written
                self._container = _container(path, metadata)
            stack.enter_context(self._container)
            if coded is None:
                stream = _video(self._container, x264.CODEC, fps, x264.options(crf, width, height))
                configure(stream.codec_context)
                x264.set_threads(stream.codec_context, width, height)
                coded = Turns(stream, configure, crf, width, height).encode
            self._coded: Coder = coded
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
        """Encode one frame, and the sound up to its time."""
        if frame.y.shape != self._shape:
            raise EngineFailed(
                f"a frame is {frame.width}x{frame.height} instead of"
                f" {self._shape[1]}x{self._shape[0]}",
                stage=Stage.ENCODE,
            )
        self._container.mux(self._sound.until(self._count, self._fps))
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
        self._open.pop_all()
        self._sound.__exit__(None, None, None)

    def _on_device(self, crf: int, configure: Callable[[VideoCodecContext], None]) -> Coder | None:
        """The device's encoder, which works with threads of its own; None where it opens no more.

        That it once did says nothing: consumer cards encode few films at a time, of all processes.
        """
        stream = _video(self._container, nvenc.CODEC, self._fps, nvenc.options(crf))
        configure(stream.codec_context)
        try:
            stream.codec_context.open()
        except (av.FFmpegError, OSError) as error:
            reason = str(error) or type(error).__name__
            text = f"encoded by x264, as the GPU's encoder had no session free: {reason}"
            _log.warning("%s: %s", self._path.name, text)
            self.warnings.append(text)
            return None
        return stream.encode

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
    container: OutputContainer, codec_name: str, fps: Fraction, options: dict[str, str]
) -> VideoStream:
    stream = cast(VideoStream, container.add_stream(codec_name, rate=fps, options=options))
    stream.time_base = 1 / fps
    return stream


def _configure(
    codec: VideoCodecContext, width: int, height: int, fps: Fraction, color: Color
) -> None:
    codec.width, codec.height = width, height
    codec.pix_fmt = "yuv420p"
    codec.time_base = 1 / fps
    codec.framerate = fps
    codec.gop_size = max(1, round(_GOP_S * fps))
    codec.colorspace = color.matrix
    codec.color_range = _FULL if color.full_range else _LIMITED
    codec.color_primaries = color.primaries
    codec.color_trc = color.transfer
    codec.flags |= CodecFlags.bitexact.value
