"""Film of two fields in each picture, as camcorders and broadcasters make it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph
from numpy.typing import NDArray

from tests.support.media import picture

_CODE_SHARE = 16
"""Of the height that the picture's number takes, which both fields share."""


@dataclass(frozen=True)
class Woven:
    """A film to make: picture k shows its first field at moment 2k and the other one at 2k + 1."""

    frames: int = 30
    width: int = 192
    height: int = 128
    fps: Fraction = Fraction(25)
    first: str = "tff"
    """Which field comes first: `tff`, `bff`; `prog` calls it progressive."""
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "8"})
    pix_fmt: str = "yuv420p"
    moved: bool = True
    """False shows both fields at moment 2k: progressive film in an interlaced stream."""
    gop: int = 12
    matrix: int = 2
    """MatrixCoefficients of H.273 that the film claims."""
    silent: bool = False
    """Calls it progressive whatever comes first."""

    @property
    def called(self) -> str:
        """What it says of itself."""
        return "prog" if self.silent else self.first


def scene(film: Woven, frame: int, moment: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB at a moment, with the number of the picture that it is of."""
    drawn = picture(moment, film.width, film.height)
    drawn[: film.height // _CODE_SHARE] = picture(frame, film.width, film.height)[0]
    return drawn


def planes(film: Woven, frame: int, moment: int) -> list[NDArray[Any]]:
    """The planes of a moment in the film's own format."""
    whole = av.VideoFrame.from_ndarray(scene(film, frame, moment), "rgb24")
    made = whole.reformat(format=film.pix_fmt)
    deep = 2 if made.format.components[0].bits > 8 else 1
    return [
        np.frombuffer(memoryview(p), np.uint8)
        .reshape(p.height, p.line_size)[:, : p.width * deep]
        .copy()
        for p in made.planes
    ]


def woven(film: Woven, frame: int) -> av.VideoFrame:
    """Picture of a number."""
    early, late = (2 * frame, 2 * frame + 1) if film.moved else (2 * frame, 2 * frame)
    top, bottom = (late, early) if film.first == "bff" else (early, late)
    made = av.VideoFrame(film.width, film.height, film.pix_fmt)
    fields = (planes(film, frame, top), planes(film, frame, bottom))
    for plane, upper, lower in zip(made.planes, *fields, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        rows[0::2, : upper.shape[1]] = upper[0::2]
        rows[1::2, : lower.shape[1]] = lower[1::2]
    return made


def write_woven(path: Path, film: Woven) -> Path:
    """Make a film."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(film.codec, rate=film.fps, options=dict(film.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = film.width, film.height, film.pix_fmt
        codec = stream.codec_context
        codec.gop_size, codec.thread_count = film.gop, 1
        codec.time_base = 1 / film.fps
        codec.colorspace = film.matrix
        if film.called != "prog":
            codec.flags |= Flags.interlaced_dct | Flags.interlaced_me
        named = _Named(film)
        for number in range(film.frames):
            frame = named(woven(film, number))
            frame.pts, frame.time_base = number, 1 / film.fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class _Named:
    """Says of pictures which field comes first."""

    def __init__(self, film: Woven) -> None:
        self._graph = graph = Graph()
        source = graph.add_buffer(
            width=film.width,
            height=film.height,
            format=av.VideoFormat(film.pix_fmt),
            time_base=1 / film.fps,
        )
        graph.link_nodes(
            source, graph.add("setfield", f"mode={film.called}"), graph.add("buffersink")
        ).configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._graph.vpush(frame)
        return self._graph.vpull()
