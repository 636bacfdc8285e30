"""Pictures without the margins that their container says are not shown."""

from __future__ import annotations

from av import FFmpegError, VideoFrame
from av.filter import Graph

from pipeline.errors import InputUnreadable
from pipeline.reading.deinterlace import Fields
from pipeline.reading.filter_source import source_of
from pipeline.reading.shown_part import Margins
from schemas.codes import Stage


def cropped(frame: VideoFrame, margins: Margins) -> VideoFrame:
    """The part of a picture that is shown; it begins where a sample of the colours does.

    Raises:
        InputUnreadable: the filter does not take it.
    """
    width, height = margins.within(frame.width, frame.height)
    graph = Graph()
    graph.threads = 1
    try:
        source = source_of(graph, frame)
        part = f"{width}:{height}:{margins.left}:{margins.top}"
        graph.link_nodes(source, graph.add("crop", part), graph.add("buffersink")).configure()
        graph.vpush(frame)
        return graph.vpull()
    except (FFmpegError, OSError, ValueError) as error:
        text = f"a picture of {frame.width}x{frame.height} cannot be cropped by {margins}: {error}"
        raise InputUnreadable(text, stage=Stage.DECODE) from error


class Cropped:
    """Shown parts, within margins, in the place of `pipeline.reading.deinterlace.Fields`."""

    def __init__(self, whole: Fields, margins: Margins) -> None:
        self._whole = whole
        self._margins = margins
        self._last: tuple[VideoFrame, VideoFrame] | None = None

    @property
    def position(self) -> int:
        """Number of the picture that was asked for last; -1 before the first."""
        return self._whole.position

    def key_before(self, number: int) -> int:
        """Number of the picture from which decoding to `number` has to start."""
        return self._whole.key_before(number)

    def go(self, number: int) -> VideoFrame | None:
        """The shown part of the picture of a number; the same one where that is the same.

        Raises:
            InputUnreadable: it cannot be cropped, or made whole.
        """
        frame = self._whole.go(number)
        if frame is None:
            return None
        if self._last is None or self._last[0] is not frame:
            self._last = frame, cropped(frame, self._margins)
        return self._last[1]
