"""How the pictures of a file lie: turned by quarters, mirrored, or upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
from av import VideoFrame
from av.filter import Graph
from av.sidedata.sidedata import Type

from pipeline.reading.pixel_format import is_rgb

_NAMELESS = [str(len(Type) + n) for n in range(8)]
"""Kinds of side data that libavutil 60 has and the binding has not: EXIF and its neighbours."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a coded picture becomes upright: transpose first, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise; of a mirrored picture, those that remain without the mirror."""
        if self.transpose:
            return 90 if self.flip_x or not self.flip_y else 270
        return 180 if self.flip_y else 0


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix (ISO/IEC 14496-12 8.2.2.3, also EXIF) of a decoded picture."""
    try:
        matrix = np.frombuffer(side_data(frame)["DISPLAYMATRIX"], np.int32, 9)
    except (KeyError, ValueError):  # none, or on a GPU with side data that the binding cannot name
        return _from_degrees(frame.rotation)
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if hypot(a, d) >= hypot(b, c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def side_data(frame: VideoFrame) -> Any:
    """What is told beside a picture, by PyAV's names; typed as a dict of motion vectors only.

    PyAV 18 frees what it names (a colour profile's own name, which most PNG of cameras and editors
    have) twice as soon as side data are looked at: the process dies some garbage collections later.
    Video has no such names. And it refuses all of them where it cannot name one, such as EXIF.
    """
    kinds = len(frame.format.components)  # grey has one or two, a GPU's surface none
    if is_rgb(frame) or 0 < kinds < 3:
        frame = _without(frame, ["ICC_PROFILE"])
    try:
        return frame.side_data
    except ValueError:
        if not kinds:
            raise
        return _without(frame, _NAMELESS).side_data


def _without(frame: VideoFrame, kinds: Sequence[str]) -> VideoFrame:
    """The picture without some kinds of side data, by libavfilter's names or numbers."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    drops = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    graph.link_nodes(source, *drops, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def _from_degrees(counterclockwise: int) -> Orientation:
    quarter = round(-counterclockwise / 90) % 4 if abs(counterclockwise) <= 360 else 0
    return (
        Orientation(),
        Orientation(True, True, False),
        Orientation(False, True, True),
        Orientation(True, False, True),
    )[quarter]
