"""Find faces: BlazeFace, short range, over a whole frame or over tiles of it.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
arXiv:1907.05047; anchors and decoding as in MediaPipe's `face_detection_short_range`. The network
sees 128 x 128 pixels, so a face smaller than about a tenth of that square is invisible to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.faces.crop import cut_out
from pipeline.faces.graph import Model
from pipeline.faces.halves import halves_on
from pipeline.faces.rectangles import OVERLAP, Rect, is_one, longer, middle, overlap, rect
from pipeline.faces.shared import network_on
from pipeline.types import Color, Frame

LAYERS = ((16, 2), (8, 6))
"""Cells along a side, and anchors in each."""
MIN_SCORE = 0.5
CLEAR = 0.75
"""A face that scores less may be better seen through smaller tiles."""
FILLS = 7
"""A face whose side goes so often into the picture's is still found."""
_AT_ONCE = 16
Rows = NDArray[np.float32]
Place = tuple[float, float]
"""(x, y), pixels of the frame."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces of one frame, best first."""

    boxes: list[Rect]
    scores: list[float]
    """0 to 1."""
    eyes: list[tuple[Place, Place]]
    """The eye on the left of the screen, the other."""

    def __len__(self) -> int:
        return len(self.scores)


NOTHING = Detections([], [], [])


class Detector:
    """Looks for faces.

    Args:
        threads: of the CPU, that may work on one batch.
    """

    def __init__(self, model: Model, device: str = "cpu", threads: int = 1) -> None:
        self._network = network_on(model, device)
        self._halves = halves_on(device, threads)

    def warm(self) -> None:
        """Do now what the first look would wait for."""
        self._network.warm()

    def whole(self, frames: Sequence[Frame], color: Color) -> list[Detections]:
        """Look at whole frames, one glance each: finds faces above a tenth of the longer side."""
        tiles = [(n, _whole_tile(frame)) for n, frame in enumerate(frames)]
        return self._look(frames, tiles, color)

    def closely(
        self, frame: Frame, color: Color, smallest: float, near: Rect | None = None
    ) -> Detections:
        """Look at one frame through tiles of falling size, until a face is clearly seen.

        Args:
            smallest: side of the smallest face of interest, pixels.
            near: box; looks only around it.
        """
        side = float(min(frame.width, frame.height))
        best = NOTHING
        while True:
            tiles = [(0, tile) for tile in _tiles(frame, side, near)]
            found = self._look([frame], tiles, color)[0]
            if len(found) and (not len(best) or found.scores[0] > best.scores[0]):
                best = found
            if (len(best) and best.scores[0] > CLEAR) or side <= FILLS * smallest:
                return best
            side = max(side / 2, FILLS * smallest)

    def confirm(
        self,
        frames: Sequence[Frame],
        boxes: Sequence[Rect],
        color: Color,
        reaches: Sequence[float] = (3.3,),
        angle: float = 0.0,
    ) -> list[float]:
        """How much of a face there is where a mesh was placed.

        The mesh network finds a face in clouds and behind a hand; the detector, shown the same
        place at a size that suits it, does not.

        Args:
            reaches: sides of the squares to look at, in box sides.
            angle: by which the squares are turned, radians clockwise.

        Returns:
            for each frame the best score of a detection of that face, 0 where there is none.
        """
        tiles = [
            (n, [*middle(box), longer(box) * reach, angle])
            for n, box in enumerate(boxes)
            for reach in reaches
        ]
        return [
            max(
                (s for b, s in zip(found.boxes, found.scores, strict=True) if is_one(b, box)),
                default=0.0,
            )
            for box, found in zip(boxes, self._look(frames, tiles, color), strict=True)
        ]

    def _look(
        self, frames: Sequence[Frame], tiles: list[tuple[int, list[float]]], color: Color
    ) -> list[Detections]:
        found: list[list[Rows]] = [[] for _ in frames]
        for start in range(0, len(tiles), _AT_ONCE):
            some = tiles[start : start + _AT_ONCE]
            picked = [frames[n] for n, _ in some]
            look = partial(self._part, picked, [tile for _, tile in some], color)
            rows = chain.from_iterable(self._halves.each(len(some), look))
            for (n, _), its in zip(some, rows, strict=True):
                found[n].append(its)
        return [_merged(np.concatenate(rows)) for rows in found]

    def _part(
        self, frames: Sequence[Frame], regions: list[list[float]], color: Color, part: slice
    ) -> list[Rows]:
        """What some of the tiles show, of which each has a frame."""
        frames, regions = frames[part], regions[part]
        size = self._network.size
        pictures = cut_out(frames, regions, size, color, outside="black")
        outputs = self._network(pictures * 2 - 1)
        raw = outputs["regressors"].view(len(frames), -1, 16).numpy(force=True)
        scores = torch.sigmoid(outputs["classificators"].clamp(-100, 100)).numpy(force=True)
        return _decoded(raw, scores, np.array(regions, np.float32), size)


def _decoded(raw: Rows, scores: Rows, regions: Rows, size: int) -> list[Rows]:
    """Of each tile (K, 9) of what scored: box, score, both eyes, in pixels of the frame.

    Args:
        raw: (N, 896, 16) places from the anchors, pixels of the picture.
        scores: (N, 896).
        regions: (N, 4) the tiles.
    """
    tile, anchor = np.nonzero(scores > MIN_SCORE)
    kept, centre = raw[tile, anchor] / np.float32(size), _anchors()[anchor]
    at, half = kept[:, :2] + centre, kept[:, 2:4] / np.float32(2)
    places = np.concatenate([at - half, at + half, kept[:, 4:8] + np.tile(centre, 2)], axis=1)
    side = regions[tile, 2:3]
    places = places * side + np.tile(regions[tile, :2] - side / np.float32(2), 4)
    rows = np.concatenate([places[:, :4], scores[tile, anchor, None], places[:, 4:]], axis=1)
    return np.split(rows, np.searchsorted(tile, np.arange(1, len(raw))))


def _merged(rows: Rows) -> Detections:
    """Weighted non-maximum suppression: boxes of one face become their mean by score."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    faces: list[list[float]] = []
    while len(rows):
        best = rect(rows[0].tolist())
        same = np.array([overlap(best, rect(row)) > OVERLAP for row in rows.tolist()])
        same[0] = True
        faces.append(_mean(rows[same]))
        rows = rows[~same]
    return Detections(
        [rect(face) for face in faces],
        [face[4] for face in faces],
        [((face[5], face[6]), (face[7], face[8])) for face in faces],
    )


def _mean(group: Rows) -> list[float]:
    """Of the rows of one face by their scores; its score is the best one's."""
    best: list[float] = group[0].tolist()
    if len(group) == 1:
        return best
    rows = torch.from_numpy(group)
    mean: list[float] = (rows * (rows[:, 4:5] / rows[:, 4].sum())).sum(0).tolist()
    return [*mean[:4], best[4], *mean[5:]]


@cache
def _anchors() -> Rows:
    """(896, 2) centres as shares of the picture's side."""
    parts: list[Rows] = []
    for cells, each in LAYERS:
        middles = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
        y, x = np.meshgrid(middles, middles, indexing="ij")
        parts.append(np.stack([x, y], axis=2).reshape(-1, 2).repeat(each, axis=0))
    return np.concatenate(parts)


def _whole_tile(frame: Frame) -> list[float]:
    return [frame.width / 2, frame.height / 2, float(max(frame.width, frame.height)), 0.0]


def _tiles(frame: Frame, side: float, near: Rect | None) -> list[list[float]]:
    """Upright squares that cover the frame, or the surroundings of a box, half over each other."""
    if near is None:
        x0, y0, x1, y1 = 0.0, 0.0, float(frame.width), float(frame.height)
    else:
        (x, y), reach = middle(near), max(1.5 * longer(near), side / 2)
        x0, y0, x1, y1 = x - reach, y - reach, x + reach, y + reach
    return [[x, y, side, 0.0] for y in _middles(y0, y1, side) for x in _middles(x0, x1, side)]


def _middles(first: float, last: float, side: float) -> list[float]:
    length = last - first
    if length <= side:
        return [(first + last) / 2]
    count = 1 + -int(-(length - side) // (side / 2))
    step = (length - side) / (count - 1)
    return [first + side / 2 + n * step for n in range(count)]
