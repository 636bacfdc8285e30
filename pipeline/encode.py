"""Writing the output: H.264 and AAC in an MP4 that starts playing before it is fully loaded.

The frame clock is exact: the stream's time base is one frame, 1001/30000 s at 29.97. Nothing in the
file depends on the date or the machine, and x264 always runs with the same number of threads, since
its frame threads change its decisions: the same frames give the same file, whatever the budget.
"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import TracebackType

import av
import torch
from av import VideoFrame
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.video.stream import VideoStream

from pipeline.errors import EngineFailed, OutputInvalid
from pipeline.soundtrack import Soundtrack
from pipeline.types import AudioFacts, Color, Frame
from pipeline.upright import samples
from schemas.codes import Stage

_GOP_S = 2
_THREADS = 4
"""x264's frame threads, fixed: more make it no slower where there are fewer processors."""
_LIMITED, _FULL = 1, 2


class _Picture:
    """A picture for the encoder, and its planes' samples in the encoder's own memory."""

    def __init__(self, width: int, height: int) -> None:
        self.frame = VideoFrame(width, height, "yuv420p")
        sizes = ((height, width), *[(height // 2, width // 2)] * 2)
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
        threads: processor budget; must not change a pixel, so it is not heeded.
        audio: the speech, decoded again and written beside the picture.
        frames: that will be written.
        metadata: words for the container; keys of one's own survive.

    Raises:
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
        threads: int,  # noqa: ARG002 - the contract's; see _THREADS
        audio: AudioFacts,
        frames: int,
        metadata: dict[str, str],
    ) -> None:
        self._path = path
        self._size = (width, height)
        self._fps = fps
        self._tick = 1 / fps
        self._color = color
        self._frames = frames
        self._count = 0
        self._closed = False
        # x264 copies a picture before `encode` returns, so that two of them do for all.
        self._pictures = [_Picture(width, height) for _ in range(2)]
        with ExitStack() as stack:
            stack.callback(self._remove)
            self._container = stack.enter_context(_container(path, metadata))
            self._stream = _video(self._container, width, height, fps, color, crf)
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
        if (frame.width, frame.height) != self._size:
            raise EngineFailed(
                f"a frame is {frame.width}x{frame.height} instead of"
                f" {self._size[0]}x{self._size[1]}",
                stage=Stage.ENCODE,
            )
        self._container.mux(list(self._sound.until(self._count / self._fps)))
        self._container.mux(self._stream.encode(self._picture(frame)))
        self._count += 1

    def close(self) -> None:
        """Finish the file. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._check_count()
            self._container.mux(list(self._sound.rest()))
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except BaseException:
            self._open.close()
            raise
        self._open.pop_all()
        self._sound.__exit__(None, None, None)

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
        with torch.inference_mode():  # the planes may come from there, this thread does not
            torch._foreach_copy_(picture.planes, [frame.y, frame.u, frame.v])
        picture.frame.pts = self._count
        picture.frame.time_base = self._tick
        return picture.frame


@cache
def _x264_params() -> str:
    """What makes x264 cheap, and keeps it from depending on the machine.

    On top of `veryfast`, coarser motion saves a third of the time for 5 % more bytes and 0.2 dB.
    Whole 16x16 blocks without weights save 15 % more, and make the file 2 to 5 % smaller and 0.1 dB
    better: at a low rate factor, the smaller blocks and weights cost more bits than they save.
    Adaptive quantisation at half its usual strength takes bits from even walls for what has grain
    (1 to 16 % fewer bytes, up to 0.8 dB better), and narrower dead zones spend them on detail:
    together 0.8 to 1.6 dB, and sharper by 1 to 3 %, for -1 to +13 % bytes (grain alone: +41 %).
    The number of processors would choose the lookahead's threads, and with them frame types. On
    processors with AVX-512 libx264 165 weighs macroblocks by memory that it never wrote: pictures
    some macroblocks wide came out differently from run to run. AVX2 is as fast.
    """
    params = "subme=1:me=dia:partitions=i8x8:weightp=0:weightb=0:aq-strength=0.5"
    params += ":deadzone-inter=13:deadzone-intra=7:lookahead-threads=1"
    try:
        wide = "avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:
        wide = False
    return params + ":asm=avx2,fma3,bmi2,lzcnt" if wide else params


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
    container: OutputContainer, width: int, height: int, fps: Fraction, color: Color, crf: int
) -> VideoStream:
    stream: VideoStream = container.add_stream(
        "libx264",
        rate=fps,
        options={"preset": "veryfast", "crf": str(crf), "x264-params": _x264_params()},
    )
    stream.time_base = 1 / fps
    codec = stream.codec_context
    codec.width, codec.height = width, height
    codec.pix_fmt = "yuv420p"
    codec.time_base = 1 / fps
    codec.framerate = fps
    codec.gop_size = max(1, round(_GOP_S * fps))
    codec.colorspace = color.matrix
    codec.color_range = _FULL if color.full_range else _LIMITED
    codec.color_primaries = color.primaries
    codec.color_trc = color.transfer
    codec.thread_count = _THREADS
    codec.thread_type = "FRAME"  # slices would change the picture
    codec.flags |= CodecFlags.bitexact.value
    return stream
