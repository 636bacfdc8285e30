"""Reading the reference: grid frames in any order, exact to the picture, in bounded memory.

A descending run (the way back of a ping-pong) is decoded in blocks: seek before the block, decode
it forwards, hand it out backwards (`pipeline.reading.blocks`). Memory depends on the picture's size
alone, neither on the clip's length nor on the distance between its keyframes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

from av import FFmpegError
from av.codec.hwaccel import HWAccel

from pipeline.errors import InputUnreadable, NoVideo
from pipeline.reading.blocks import Blocks
from pipeline.reading.combing import may_be_woven
from pipeline.reading.container import only, open_media
from pipeline.reading.crop import Cropped
from pipeline.reading.cursor import Cursor
from pipeline.reading.deinterlace import Fields, holds_single_fields
from pipeline.reading.film import Film
from pipeline.reading.grid import Grid, PictureTable
from pipeline.reading.kept_pictures import KeptPictures
from pipeline.reading.limits import TRUSTED
from pipeline.reading.nvdec import accelerator
from pipeline.reading.orientation import orientation_of
from pipeline.reading.photograph import ALONE, Photograph, codec_of
from pipeline.reading.scan import video_stream
from pipeline.reading.shown_part import margins_of
from pipeline.reading.upright import Planes, Upright
from pipeline.types import Frame, Limits, VideoFacts
from schemas.codes import Stage

Asked = tuple[int, int | None]
"""A grid frame, and the one that will be asked for next."""
Accelerated = Callable[[str, VideoFacts], HWAccel | None]
_log = logging.getLogger(__name__)


class FrameReader:
    """Reads the grid frames of a probed reference. Each `read` opens the file for itself.

    The tensors of a frame may be shared with other frames: never write into them.

    Args:
        scratch: folder where a descending run may keep one block of pictures in a nameless file;
            without one the block is smaller and stays in memory.
        kept: where decoded pictures are kept, so that the next `read` need not decode them again.
        device: may decode, if it can (`pipeline.reading.nvdec`); what it does not, the processors
        do.
        accelerated: says whether it can.
    """

    def __init__(
        self,
        video: VideoFacts,
        threads: int,
        scratch: Path | None = None,
        kept: KeptPictures | None = None,
        device: str = "cpu",
        accelerated: Accelerated = accelerator,
    ) -> None:
        self._video = video
        self._kept = kept
        self._device = device
        self._accelerated = accelerated
        self._scratch = scratch
        self._threads = max(1, threads)
        self._film = Film(video)

    def read(self, indices: Iterable[int]) -> Generator[Frame, None, None]:
        """Decode grid frames in the order asked for, repeats included.

        Closing the iterator closes the file.

        Raises:
            InputUnreadable: nothing decodes any more.
            IndexError: an index outside the grid.
        """
        wanted = _with_next(indices)
        accel = self._accelerated(self._device, self._video)
        if accel is not None:
            left = yield from self._read_on(accel, wanted)
            if left is None:
                return
            wanted = chain([left], wanted)
        with self._open(None) as source:
            for index, ahead in wanted:
                yield self._frame(source, index, ahead)

    def _read_on(
        self, accel: HWAccel, wanted: Iterator[Asked]
    ) -> Generator[Frame, None, Asked | None]:
        """Frames that a device decodes; returns what it could not decode, if anything."""
        asked: Asked | None = None
        try:
            with self._open(accel) as source:
                for asked in wanted:
                    yield self._frame(source, *asked)
        except (InputUnreadable, FFmpegError, OSError, RuntimeError, ValueError) as error:
            # The last two are the binding's, of pictures that it cannot bring or does not know.
            _log.warning(
                "%s: decoded on the processors from here on, as %s could not: %s",
                self._video.path.name,
                self._device,
                error,
            )
            self._device = "cpu"
            return asked or next(wanted, None)
        return None

    def _frame(self, source: _Source, index: int, ahead: int | None) -> Frame:
        if not 0 <= index < self._video.frames:
            raise IndexError(f"grid frame {index} of {self._video.frames}")
        y, u, v = source.planes(index, ahead)
        return Frame(y, u, v, index)

    @contextmanager
    def _open(self, accel: HWAccel | None) -> Iterator[_Source]:
        video = self._video
        if codec_of(video.path) is not None:
            photograph = Photograph(video.path, TRUSTED, Stage.DECODE)
            with Blocks(video.width, video.height, self._scratch) as blocks:
                yield _Source(video, ALONE, photograph, blocks, self._kept, lambda: True)
            return
        film, table = self._film, self._film.pictures()
        with (
            Blocks(video.width, video.height, self._scratch) as blocks,
            open_media(video.path, TRUSTED, Stage.DECODE, accel) as container,
        ):
            stream = video_stream(container)
            if stream is None:
                raise NoVideo(f"{video.path.name} has no video any more", stage=Stage.DECODE)
            only(container, stream)
            codec = stream.codec_context
            # Of a large still libavformat does not know the size before it is decoded.
            whole = round(video.width * video.height / video.scale**2)
            largest = max(4 * whole, Limits().max_pixels, codec.width * codec.height)
            threads = self._threads if accel is None else 1
            cursor = Cursor(container, stream, table, threads, largest, strict=accel is not None)
            with closing(cursor):
                split = holds_single_fields(video, codec.height)
                upright = not (video.still or video.rotation)  # as no broadcast is not
                silent = upright and may_be_woven(codec.height, video.fps)
                combed = film.combed if not split else lambda: False
                order = film.unsaid_order if silent else lambda: None
                fields = Fields(cursor, len(table.pts), combed, order, threads)
                margins = margins_of(container, stream)
                shown = fields if margins is None else Cropped(fields, margins)
                yield _Source(video, table, shown, blocks, self._kept, film.hidden)


class _Source:
    """One open file, where it stands, and the block of the last descending run."""

    def __init__(
        self,
        video: VideoFacts,
        table: PictureTable,
        cursor: Fields | Cropped | Photograph,
        blocks: Blocks,
        kept: KeptPictures | None,
        hidden: Callable[[], bool],
    ) -> None:
        self._video = video
        self._kept = kept
        self._hidden = hidden
        self._cursor = cursor
        grid = Grid(video.fps, video.frames, video.variable_rate)
        self._picture = grid.over(table) if not video.still else _first
        self._upright: Upright | None = None
        self._blocks = blocks
        self._last: tuple[object, Planes] | None = None

    def planes(self, index: int, ahead: int | None) -> Planes:
        """Planes of a grid frame; `ahead` is the frame that will be asked for next."""
        number = self._picture(index)
        known = self._kept.get(number) if self._kept is not None else None
        if known is not None:
            return known
        if number in self._blocks:
            return self._blocks.get(number)
        backwards = number < self._cursor.position and ahead is not None and ahead < index
        if backwards:
            self._load_block(number)
            return self._blocks.get(number)
        self._blocks.clear()
        return self._decoded(number)

    def _load_block(self, last: int) -> None:
        """Decode the pictures up to `last`, from its keyframe on if they fit into a block."""
        self._blocks.clear()
        first = max(self._cursor.key_before(last), last - self._blocks.capacity + 1)
        for number in range(first, last + 1):
            self._blocks.put(number, self._decoded(number))

    def _decoded(self, number: int) -> Planes:
        frame = self._cursor.go(number)
        if frame is None:
            raise InputUnreadable(
                f"{self._video.path.name}: no picture of its video decodes", stage=Stage.DECODE
            )
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        if self._upright is None:
            video = self._video
            self._upright = Upright(
                video.width,
                video.height,
                video.color,
                orientation_of(frame),
                self._hidden,
                video.source,
            )
        planes = self._upright.planes(frame)
        self._last = (frame, planes)
        if self._kept is not None:
            self._kept.put(number, planes)
        return planes


def _first(index: int) -> int:
    """The picture under each grid frame of a still."""
    del index
    return 0


def _with_next(indices: Iterable[int]) -> Iterator[Asked]:
    """Each index with the one behind it; None behind the last."""
    iterator = iter(indices)
    current = next(iterator, None)
    while current is not None:
        following = next(iterator, None)
        yield current, following
        current = following
