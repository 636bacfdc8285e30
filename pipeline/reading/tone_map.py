"""Pictures of high dynamic range (HLG, PQ) or wide colours, brought to those of BT.709.

Phones record so by default. What a picture becomes is computed once for a lattice of colours
(`pipeline.reading.hdr`); libavfilter's haldclut looks each pixel up in it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from av import FFmpegError, VideoFrame
from av.filter import Graph
from av.filter.context import FilterContext
from numpy.typing import NDArray

from pipeline.errors import InputUnreadable
from pipeline.reading.filter_source import TICK, source_of
from pipeline.reading.hdr import HLG, PQ, WIDE, as_shown
from pipeline.reading.pixel_format import is_rgb
from pipeline.types import Color, VideoFacts
from schemas.codes import Stage

_SHOWN = Color(matrix=1, full_range=False, primaries=1, transfer=1)
_MATRICES = {1: "bt709", 4: "fcc", 5: "smpte170m", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
"""libswscale's names; it knows no other."""
_NAMES = {PQ: "PQ (HDR10)", HLG: "HLG"}
_RGB = 0
_LEVEL = 8
"""The lattice has its square, 64, to a side."""
_SCALER = "flags=bicubic+accurate_rnd+bitexact"


def is_other(primaries: int, transfer: int) -> bool:
    """Whether colours by these words of ITU-T H.273 are not those of ordinary screens."""
    return transfer in _NAMES or primaries in WIDE


def shown_as(path: Path, color: Color) -> Color | None:
    """How pictures of other colours than television's are delivered; None for those that stay.

    Raises:
        InputUnreadable: they are coded by a matrix that libswscale does not know.
    """
    if not is_other(color.primaries, color.transfer):
        return None
    if color.matrix not in _MATRICES:
        raise InputUnreadable(
            f"{path.name}: its colours are of high dynamic range or wide, and coded by matrix "
            f"{color.matrix} of ITU-T H.273, which is not read; save it as BT.2020 with "
            "non-constant luminance (9), or as SDR",
            stage=Stage.PROBE,
            matrix=color.matrix,
        )
    return _SHOWN


def tone_warnings(video: VideoFacts) -> list[str]:
    """What a report says of a reference whose colours were changed."""
    if video.source is None:
        return []
    name = _NAMES.get(video.source.transfer, "of wide colours (BT.2020 or P3)")
    return [f"the reference is {name}; it was brought to SDR, BT.709"]


class ToneMap:
    """Converts the pictures of one stream."""

    def __init__(self, source: Color) -> None:
        self._source = source
        self._shape: tuple[object, ...] = ()
        self._graph: Graph | None = None
        self._ends: tuple[FilterContext, FilterContext]

    def shown(self, frame: VideoFrame, width: int, height: int, layout: str) -> VideoFrame:
        """A picture as an ordinary screen shows it.

        Args:
            frame: of any layout that libswscale takes.
            layout: of the result, by libavutil's name; YCbCr is BT.709's, limited range.

        Raises:
            InputUnreadable: libavfilter cannot.
        """
        shape = (frame.width, frame.height, frame.format.name, width, height, layout)
        try:
            if shape != self._shape:
                self._ends = self._opened(frame, width, height, layout)
                self._shape = shape
            source, sink = self._ends
            source.push(frame)
            made = sink.pull()
        except (FFmpegError, OSError, ValueError) as error:
            text = f"a picture of {frame.format.name} cannot be brought to SDR: {error}"
            raise InputUnreadable(text, stage=Stage.DECODE) from error
        assert isinstance(made, VideoFrame)
        return made

    def _opened(
        self, frame: VideoFrame, width: int, height: int, layout: str
    ) -> tuple[FilterContext, FilterContext]:
        rgb = is_rgb(frame)
        matrix = "auto" if rgb else _MATRICES[self._source.matrix]
        span = "full" if rgb or self._source.full_range else "limited"
        kind = "gbrapf32le" if "a" in layout else "gbrpf32le"
        out = "full" if layout.startswith("rgb") else "limited"
        graph = self._graph = Graph()
        graph.threads = 1
        source = source_of(graph, frame, _RGB if rgb else None)
        table = _lattice(self._source.primaries, self._source.transfer)
        colors = graph.add_buffer(
            width=table.width, height=table.height, format=table.format, time_base=TICK
        )
        looked_up = graph.add("haldclut", "clut=first:interp=tetrahedral")
        sink = graph.add("buffersink")
        graph.link_nodes(
            source,
            graph.add("setpts", "N"),  # haldclut wants ever later ones, and a reader goes back
            graph.add(
                "scale",
                f"{width}:{height}:in_color_matrix={matrix}:in_range={span}:"
                f"out_range=full:{_SCALER}",
            ),
            graph.add("format", f"pix_fmts={kind}"),
            looked_up,
            graph.add("scale", f"in_range=full:out_color_matrix=bt709:out_range={out}:{_SCALER}"),
            graph.add("format", f"pix_fmts={layout}"),
            sink,
        )
        colors.link_to(looked_up, 0, 1)
        graph.configure()
        colors.push(table)
        colors.push(None)
        return source, sink


def _lattice(primaries: int, transfer: int) -> VideoFrame:
    """The table of colours as haldclut takes it: red changes first, blue last."""
    table = VideoFrame.from_ndarray(_colors(primaries, transfer), "rgb48le")
    table.pts, table.time_base = 0, TICK
    return table


@lru_cache(maxsize=4)
def _colors(primaries: int, transfer: int) -> NDArray[np.uint16]:
    """(512, 512, 3) of 16 bits."""
    steps = np.linspace(0, 1, _LEVEL**2)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    signals = np.stack([red, green, blue], -1).reshape(_LEVEL**3, _LEVEL**3, 3)
    shown = as_shown(signals, Color(_RGB, True, primaries, transfer))
    return np.round(shown * 65535).astype(np.uint16)
