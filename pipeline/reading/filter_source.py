"""Where pictures go into a graph of libavfilter's."""

from __future__ import annotations

from fractions import Fraction

from av import VideoFrame
from av.filter import Graph
from av.filter.context import FilterContext

TICK = Fraction(1, 1000)
"""Seconds, where pictures have no time base; nobody reads the filters' times."""


def source_of(graph: Graph, frame: VideoFrame, matrix: int | None = None) -> FilterContext:
    """The source of pictures like one, with its colours named as they are.

    Args:
        matrix: its colours' by ITU-T H.273, where the picture's word for it is not to be trusted.
    """
    return graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base=str(frame.time_base or TICK),
        colorspace=str(int(frame.colorspace if matrix is None else matrix)),
        range=str(int(frame.color_range)),
    )
