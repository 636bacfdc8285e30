"""Interlaced film: pictures that weave two moments together, made to show one of them each.

A camcorder's or a broadcaster's picture holds the lines of two fields, taken half a picture apart:
whatever moves, as lips do, has a comb at its edges. bwdif (libavfilter) keeps the lines of the
first field and makes the others from those around them in space and time; what stands still keeps
all of its lines. Rate and time stamps stay those of the pictures.

Where the fields were coded as pictures of their own, the first one of each two is shown, at its
whole height.

Each picture depends on its two neighbours alone, so that it is the same in whatever order they are
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from av import FFmpegError, VideoFrame
from av.filter import Graph

from pipeline.errors import InputUnreadable
from pipeline.reading.cursor import Cursor
from pipeline.reading.filter_source import source_of
from pipeline.types import VideoFacts
from schemas.codes import Stage

_SMALLEST = 4
"""Rows and columns that the filter needs."""
_BWDIF = "mode=send_frame:parity={}:deint=all"
"""One picture for each. Which ones it is for is decided here: left to it, what follows a picture
that it leaves alone would depend on the order."""
_FIELD_CODEC = "hevc"
_WIDEST = Fraction(5, 2)
"""Times its height that an interlaced picture is wide at most; its fields are 2.7 and more."""


def is_one_field(frame: VideoFrame, codec: str, aspect: Fraction) -> bool:
    """Whether a picture is a single field, half as high as it is shown.

    HEVC alone codes fields as pictures of their own (ITU-T H.265 D.3.3); libavcodec calls those
    interlaced. Encoders say the same of whole pictures (x265's `interlace`), which have the shape
    of a screen.

    Args:
        frame: the first picture of a film.
    """
    wide = frame.width * aspect > _WIDEST * frame.height
    return codec == _FIELD_CODEC and frame.interlaced_frame and wide


def holds_single_fields(video: VideoFacts, lines: int) -> bool:
    """Whether a probed film is one of single fields, by the lines of a coded picture."""
    shown = round(video.height / video.scale)
    return video.codec == _FIELD_CODEC and video.rotation == 0 and abs(shown - 2 * lines) <= 2


class Fields:
    """Stands where a `pipeline.reading.cursor.Cursor` would, and makes interlaced pictures whole.

    All other pictures pass as they are.

    Args:
        combed: whether pictures that are called interlaced really are; asked at the first such one.
        order: which field came first in pictures that are not called so and are, `tff` or `bff`;
            asked at the first such one.
    """

    def __init__(
        self,
        cursor: Cursor,
        count: int,
        combed: Callable[[], bool],
        order: Callable[[], str | None],
        threads: int,
    ) -> None:
        self._cursor = cursor
        self._count = count
        self._combed = combed
        self._order = order
        self._threads = threads
        self._position = -1
        self._shown: VideoFrame | None = None
        self._near: dict[int, VideoFrame | None] = {}
        """Decoded pictures around the last one, by number."""
        self._filter: _Filter | None = None
        self._due = -1
        """Number of the picture that comes out of the filter next."""

    @property
    def position(self) -> int:
        """Number of the picture that was asked for last; -1 before the first."""
        return self._position

    def key_before(self, number: int) -> int:
        """Number of the picture from which decoding to `number` has to start."""
        return self._cursor.key_before(number)

    def go(self, number: int) -> VideoFrame | None:
        """The picture of a number, found as by `Cursor.go`, of one moment.

        Raises:
            InputUnreadable: the filter does not take it.
        """
        if number != self._position:
            self._shown = self._found(number)
            self._position = number
        return self._shown

    def _found(self, number: int) -> VideoFrame | None:
        if self._filter is not None and number != self._due:
            self._decoded(max(0, number - 1))  # first: a cursor goes back at some cost
        frame = self._decoded(number)
        if frame is None or min(frame.width, frame.height) < _SMALLEST:
            return frame
        # By its own word, or by what was seen of all.
        first = "auto" if frame.interlaced_frame else self._order()
        if first is None or (first == "auto" and not self._combed()):
            return frame
        try:
            return self._whole(number, frame, first)
        except (FFmpegError, OSError, ValueError) as error:
            raise InputUnreadable(
                f"picture {number} is interlaced and cannot be made whole: {error}",
                stage=Stage.DECODE,
            ) from error

    def _whole(self, number: int, frame: VideoFrame, first: str) -> VideoFrame:
        running = self._filter
        if running is None or self._due != number or not running.takes(frame, first):
            running = self._filter = _Filter(frame, first, self._threads)
            if number > 0:
                running.put(self._beside(number - 1, frame))
            running.put(frame)
        made = running.put(self._beside(number + 1, frame))
        self._due = number + 1
        if made is None:
            raise ValueError("the filter gave nothing")
        return made

    def _beside(self, number: int, frame: VideoFrame) -> VideoFrame:
        """A neighbour, or the picture itself at the ends and beside one of another shape."""
        near = self._decoded(number) if number < self._count else None
        return frame if near is None or _shape(near) != _shape(frame) else near

    def _decoded(self, number: int) -> VideoFrame | None:
        if number not in self._near:
            self._near[number] = self._cursor.go(number)
            self._near = {n: f for n, f in self._near.items() if abs(n - number) <= 2}
        return self._near[number]


class _Filter:
    """A run of pictures of one shape through bwdif, which is one picture late."""

    def __init__(self, first: VideoFrame, parity: str, threads: int) -> None:
        self._shape = _shape(first)
        self._parity = parity
        self._graph = Graph()
        self._graph.threads = threads
        # What the filter does not take, as a GPU's layout, is laid out anew before it: between
        # colours that are not named, that would change them.
        source = source_of(self._graph, first)
        bwdif = self._graph.add("bwdif", _BWDIF.format(parity))
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()

    def takes(self, frame: VideoFrame, parity: str) -> bool:
        """Whether a picture is of the run's shape and order."""
        return parity == self._parity and _shape(frame) == self._shape

    def put(self, frame: VideoFrame) -> VideoFrame | None:
        """The picture before this one, made whole; None for the first."""
        self._graph.vpush(frame)
        try:
            return self._graph.vpull()
        except BlockingIOError:
            return None


def _shape(frame: VideoFrame) -> tuple[int, int, str, int, int]:
    """What pictures of one run have in common: size, layout, and how their colours are named."""
    colors = int(frame.colorspace), int(frame.color_range)
    return frame.width, frame.height, frame.format.name, *colors
