"""A photograph in tiles as one upright picture, for who expects a video of one picture."""

from __future__ import annotations

import numpy as np
from av import FFmpegError, VideoFrame
from av.container import InputContainer
from av.filter import Graph
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from pipeline.heif import Tiles


class Mosaic:
    """Stands where a `pipeline.cursor.Cursor` would.

    Args:
        container: open, read by nobody else.
        tiles: how it is put together.
        max_pixels: above which the decoder refuses a tile.
    """

    def __init__(self, container: InputContainer, tiles: Tiles, max_pixels: int) -> None:
        self._container = container
        self._tiles = tiles
        self._max_pixels = max_pixels
        self._whole: VideoFrame | None = None

    @property
    def position(self) -> int:
        """Always the only picture."""
        return 0

    def key_before(self, _number: int) -> int:
        """The only picture."""
        return 0

    def go(self, _number: int) -> VideoFrame | None:
        """The picture, None when a tile is missing, unlike others or does not decode."""
        if self._whole is None:
            self._whole = self._assembled()
        return self._whole

    def _assembled(self) -> VideoFrame | None:
        tiles = self._tiles
        parts = self._decoded()
        if set(parts) < set(tiles.items):
            return None
        first = parts[tiles.items[0]]
        wide, high = tiles.columns * first.width, tiles.rows * first.height
        if wide < tiles.width or high < tiles.height:
            return None
        if {_shape(parts[item]) for item in tiles.items} != {_shape(first)}:
            return None
        whole = VideoFrame(tiles.width, tiles.height, first.format.name)
        for place, item in enumerate(tiles.items):
            row, column = divmod(place, tiles.columns)
            _paste(whole, parts[item], column * first.width, row * first.height)
        whole.color_range, whole.colorspace = first.color_range, first.colorspace
        whole.color_primaries, whole.color_trc = first.color_primaries, first.color_trc
        whole.pts, whole.time_base = 0, first.time_base
        return _turned(whole, tiles.turns)

    def _decoded(self) -> dict[int, VideoFrame]:
        """Pictures of tiles by item."""
        found: dict[int, VideoFrame] = {}
        streams = [s for s in self._container.streams.video if s.id in self._tiles.items]
        for stream in streams:
            stream.codec_context.options = {"max_pixels": str(self._max_pixels)}
            stream.codec_context.thread_count = 1
        for packet in self._container.demux(*streams):
            try:
                frames = packet.decode()
            except (FFmpegError, OSError):
                continue
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    found.setdefault(packet.stream.id, frame)
        return found


def _shape(frame: VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height


def _paste(whole: VideoFrame, part: VideoFrame, x: int, y: int) -> None:
    """Copy a tile to luma's (x, y), as far as it lies inside."""
    depth = (part.format.components[0].bits + 7) // 8
    for target, source in zip(whole.planes, part.planes, strict=True):
        left, top = x * target.width // whole.width, y * target.height // whole.height
        room = _samples(target, depth)[top : top + source.height, left * depth :]
        given = _samples(source, depth)[: room.shape[0], : room.shape[1]]
        room[: given.shape[0], : given.shape[1]] = given


def _samples(plane: VideoPlane, depth: int) -> NDArray[np.uint8]:
    """(H, W * depth) bytes in the plane's own memory."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width * depth]


def _turned(whole: VideoFrame, turns: tuple[str, ...]) -> VideoFrame:
    if not turns:
        return whole
    graph = Graph()
    source = graph.add_buffer(
        width=whole.width, height=whole.height, format=whole.format, time_base=whole.time_base
    )
    filters = [turn.partition("=") for turn in turns]
    steps = [graph.add(name, options) for name, _, options in filters]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    graph.vpush(whole)
    return graph.vpull()
