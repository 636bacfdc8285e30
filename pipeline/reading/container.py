"""Opening a media file that nobody trusts: local files of known kinds only, in bounded time.

libavformat would happily follow a playlist to another file or to the network. Here a file must be
regular, its demuxer must be on the list below (none of these opens a second file as configured),
and the only protocol is `file`. https://ffmpeg.org/ffmpeg-formats.html (format_whitelist,
protocol_whitelist).
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from pipeline.errors import InputUnreadable, MediaLimitExceeded
from pipeline.reading.decoders import DECODERS
from pipeline.reading.open_errors import reason
from pipeline.reading.wav_size import says_too_little
from pipeline.types import Limits
from schemas.codes import Stage

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "aac,aiff,amr,asf,au,avi,caf,dv,flac,flv,gif,mp3,mpeg,mpegts,mxf,ogg,w64,wav",
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe",
)
"""libavformat's names of what is read."""
STATES_SECONDS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flac", "wav", "ogg")
"""Containers whose header states a duration; elsewhere libavformat guesses it from the bit rate."""
SPLICED = ("mpegts", "mpeg", "flv")
"""Containers that can be put one behind the other, so that time stamps may begin anew anywhere."""
CHAINED = ("matroska,webm",)
"""The same, where a jump forward is a picture that stands for long: time that goes back alone is
that of another recording, as browsers and `cat` join them."""
CUT = ("mpegts", "mpeg")
"""Containers that may be cut anywhere: what lies before the first keyframe does not decode then."""
SPLICE_S = 10
"""Seconds from which on time stamps of such a container that jump are those of another recording,
and no hole; players and converters do the same (`-dts_delta_threshold`)."""
PICTURES = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe"})

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov,mp4,m4a,3gp,3g2,mj2"),
    (4, b"moov", "mov,mp4,m4a,3gp,3g2,mj2"),
    (0, b"\x1a\x45\xdf\xa3", "matroska,webm"),
    (0, b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (0, b"\xff\xd8\xff", "jpeg_pipe"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp_pipe"),
    (8, b"WEBP", "webp_pipe"),
    (8, b"AVI ", "avi"),
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02\x01\x01\x02", "mxf"),
)
_RESUMES = 64
"""Times in a row that reading goes on after a damaged packet before it counts as the end."""


class Clock:
    """Wall time that one file may take; `check` raises when it is over."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raise `MediaLimitExceeded` after the last second."""
        if time.monotonic() > self._end:
            raise self.over()

    def over(self) -> MediaLimitExceeded:
        """The error that says so."""
        return MediaLimitExceeded(
            f"{self._path.name}: reading takes longer than {self._seconds:g} s",
            stage=Stage.PROBE,
            limit="probe_timeout_s",
            max=self._seconds,
        )


def check_file(path: Path, limits: Limits, stage: Stage) -> None:
    """Refuse what is not a readable regular file of an acceptable size.

    Raises:
        InputUnreadable: no such file, not a regular one, or empty.
        MediaLimitExceeded: too many bytes.
    """
    try:
        facts = path.stat()
    except (OSError, ValueError) as error:
        raise InputUnreadable(f"{path.name}: {error}", stage=stage) from error
    if not stat.S_ISREG(facts.st_mode):
        raise InputUnreadable(f"{path.name} is not a regular file", stage=stage)
    if facts.st_size == 0:
        raise InputUnreadable(f"{path.name} is empty", stage=stage, bytes=0)
    if facts.st_size > limits.max_bytes:
        raise MediaLimitExceeded(
            f"{path.name} has {facts.st_size} bytes, more than {limits.max_bytes}",
            stage=stage,
            limit="max_bytes",
            value=facts.st_size,
            max=limits.max_bytes,
        )


def known_kind(path: Path) -> str | None:
    """The demuxer that the first bytes ask for; libavformat's own guess also heeds the name."""
    with path.open("rb") as file:
        head = file.read(16)
    for offset, magic, name in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def is_still(path: Path) -> bool:
    """Whether a file's first bytes are those of a picture that does not move."""
    return known_kind(path) in PICTURES


def open_options(limits: Limits) -> dict[str, Any]:
    """How `av.open` opens what nobody trusts; JSON types."""
    return {
        "options": {"max_pixels": str(limits.max_pixels)},
        "container_options": {
            "format_whitelist": ",".join(DEMUXERS),
            "protocol_whitelist": "file",
            "codec_whitelist": DECODERS,
            "max_streams": str(4 * limits.max_streams),
        },
        "metadata_errors": "replace",
        "timeout": limits.probe_timeout_s,
    }


@contextmanager
def open_media(
    path: Path, limits: Limits, stage: Stage, accel: HWAccel | None = None
) -> Iterator[InputContainer]:
    """Open a local media file; its pictures are decoded by `accel`, if given.

    Raises:
        InputUnreadable: not a regular file, empty, or not media of a kind on the list.
        MediaLimitExceeded: too many bytes or streams, or opening takes too long.
    """
    check_file(path, limits, stage)
    clock = Clock(path, limits.probe_timeout_s)
    kind, options = known_kind(path), open_options(limits)
    if kind == "wav" and says_too_little(path):
        options["container_options"]["ignore_length"] = "1"
    with _in_our_words(path, kind, limits, stage, clock, on_device=accel is not None):
        container = av.open(
            f"file:{path.absolute()}", mode="r", format=kind, hwaccel=accel, **options
        )
    with container:
        _check_streams(path, container, limits, stage)
        yield container


@contextmanager
def _in_our_words(
    path: Path, kind: str | None, limits: Limits, stage: Stage, clock: Clock, *, on_device: bool
) -> Iterator[None]:
    """What libavformat, and the binding, raise while they open a file."""
    try:
        yield
    except av.ExitError as error:
        raise clock.over() from error
    except MemoryError as error:
        if on_device:  # its own memory may be meant: the processors will tell
            raise InputUnreadable(f"{path.name}: no memory on the device", stage=stage) from error
        raise MediaLimitExceeded(
            f"{path.name} has more than {4 * limits.max_streams} streams, or needs too much memory",
            stage=stage,
            limit="max_streams",
            max=limits.max_streams,
        ) from error
    except RuntimeError as error:
        if not on_device:
            raise
        raise InputUnreadable(
            f"{path.name} is of no kind that the device decodes: {error}", stage=stage
        ) from error
    except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
        clock.check()  # an interrupted demuxer may call the file damaged
        raise InputUnreadable(
            f"{path.name} cannot be opened as media: {reason(path, kind, error)}",
            stage=stage,
        ) from error


def _check_streams(path: Path, container: InputContainer, limits: Limits, stage: Stage) -> None:
    count = len(container.streams)
    if count > limits.max_streams:
        raise MediaLimitExceeded(
            f"{path.name} has {count} streams, more than {limits.max_streams}",
            stage=stage,
            limit="max_streams",
            value=count,
            max=limits.max_streams,
        )


def only(container: InputContainer, stream: Stream) -> None:
    """Let the demuxer skip the data of all other streams."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def packets(
    container: InputContainer, stream: Stream, clock: Clock | None, others: Sequence[Stream] = ()
) -> Iterator[Packet[Any]]:
    """Packets of streams in file order, then the empty one that flushes the decoder.

    A damaged stretch is stepped over; what cannot be stepped over is the end of the file.

    Raises:
        MediaLimitExceeded: the clock ran out.
    """
    failures = 0
    while True:
        try:
            for packet in container.demux(stream, *others):
                failures = 0
                if clock is not None:
                    clock.check()
                yield packet
            return
        except av.ExitError as error:
            raise (clock or Clock(Path(container.name), 0)).over() from error
        except (av.FFmpegError, OSError):
            failures += 1
            if failures > _RESUMES:
                break
        except IndexError:  # the binding, where a damaged transport stream grew another stream
            break
    yield _flush(stream)


def _flush(stream: Stream) -> Packet[Any]:
    packet: Packet[Any] = Packet()
    packet.stream = stream
    return packet
