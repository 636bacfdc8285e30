"""Find faces: BlazeFace, short range, over a whole frame or over tiles of it.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
arXiv:1907.05047; anchors and decoding as in MediaPipe's `face_detection_short_range`. The network
sees 128 x 128 pixels, so a face smaller than about a tenth of that square is invisible to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.faces.graph import Model
from pipeline.faces.roi import cut_out
from pipeline.faces.shared import network_on
from pipeline.types import Color, Frame

LAYERS = ((16, 2), (8, 6))
"""Cells along a side, and anchors in each."""
MIN_SCORE = 0.5
OVERLAP = 0.3
"""Boxes that share more than this of their union are one face."""
CLEAR = 0.75
"""A face that scores less may be better seen through smaller tiles."""
FILLS = 7
"""A face whose side goes so often into the picture's is still found."""
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces of one frame, best first."""

    boxes: Tensor
    """(N, 4) x0 y0 x1 y1, pixels of the frame."""
    scores: Tensor
    """(N,) 0 to 1."""
    eyes: Tensor
    """(N, 2, 2): the eye on the left of the screen, the other; (x, y)."""

    def __len__(self) -> int:
        return int(self.scores.shape[0])


NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 2, 2))


class Detector:
    """Looks for faces.

    Args:
        model: the pulled model.
        device: where it runs.
        threads: of the CPU, that may work on one batch.
    """

    def __init__(self, model: Model, device: str = "cpu", threads: int = 1) -> None:
        self._network = network_on(model, device, threads)
        self._anchors = _anchors()

    def whole(self, frames: Sequence[Frame], color: Color) -> list[Detections]:
        """Look at whole frames, one glance each: finds faces above a tenth of the longer side."""
        tiles = [(n, _whole_tile(frame)) for n, frame in enumerate(frames)]
        return self._look(frames, tiles, color)

    def closely(
        self, frame: Frame, color: Color, smallest: float, near: Tensor | None = None
    ) -> Detections:
        """Look at one frame through tiles of falling size, until a face is clearly seen.

        Args:
            frame: where to look.
            color: how its planes are to be read.
            smallest: side of the smallest face of interest, pixels.
            near: (4,) box; looks only around it.
        """
        side = float(min(frame.width, frame.height))
        best = NOTHING
        while True:
            tiles = [(0, tile) for tile in _tiles(frame, side, near)]
            found = self._look([frame], tiles, color)[0]
            if len(found) and (not len(best) or found.scores[0] > best.scores[0]):
                best = found
            if (len(best) and float(best.scores[0]) > CLEAR) or side <= FILLS * smallest:
                return best
            side = max(side / 2, FILLS * smallest)

    def confirm(
        self,
        frames: Sequence[Frame],
        boxes: Tensor,
        color: Color,
        reaches: Sequence[float] = (3.3,),
    ) -> Tensor:
        """How much of a face there is where a mesh was placed.

        The mesh network finds a face in clouds and behind a hand; the detector, shown the same
        place at a size that suits it, does not.

        Args:
            frames: N frames.
            boxes: (N, 4) around the meshes.
            color: how the frames' planes are to be read.
            reaches: sides of the squares to look at, in box sides.

        Returns:
            (N,) the best score of a detection of that face, 0 where there is none.
        """
        tiles: list[tuple[int, list[float]]] = []
        for n, box in enumerate(boxes):
            (x, y), side = ((box[:2] + box[2:]) / 2).tolist(), float((box[2:] - box[:2]).max())
            tiles += [(n, [x, y, side * reach, 0.0]) for reach in reaches]
        best = torch.zeros(len(boxes))
        for n, found in enumerate(self._look(frames, tiles, color)):
            its = [is_one(box, boxes[n]) for box in found.boxes]
            best[n] = max(
                (float(s) for s, its_own in zip(found.scores, its, strict=True) if its_own),
                default=0.0,
            )
        return best

    def _look(
        self, frames: Sequence[Frame], tiles: list[tuple[int, list[float]]], color: Color
    ) -> list[Detections]:
        found: list[list[Tensor]] = [[] for _ in frames]
        for start in range(0, len(tiles), _AT_ONCE):
            part = tiles[start : start + _AT_ONCE]
            regions = torch.tensor([tile for _, tile in part])
            picked = [frames[n] for n, _ in part]
            size, device = self._network.size, self._network.device
            pictures = cut_out(picked, regions, size, color, device, outside="black")
            outputs = self._network(pictures * 2 - 1)
            raw = outputs["regressors"].view(len(part), -1, 16).cpu()
            scores = torch.sigmoid(outputs["classificators"].clamp(-100, 100)).cpu()
            for (n, _), values, score, region in zip(part, raw, scores, regions, strict=True):
                found[n].append(self._decoded(values, score, region))
        return [_merged(torch.cat(rows)) for rows in found]

    def _decoded(self, raw: Tensor, score: Tensor, region: Tensor) -> Tensor:
        """(K, 9) of what scored: box, score, both eyes, in pixels of the frame."""
        keep = score > MIN_SCORE
        size = self._network.size
        raw, centre = raw[keep] / size, self._anchors[keep]
        middle, half = raw[:, :2] + centre, raw[:, 2:4] / 2
        eyes = raw[:, 4:8] + centre.repeat(1, 2)
        places = torch.cat([middle - half, middle + half, eyes], dim=1)
        origin = (region[:2] - region[2] / 2).repeat(4)
        places = places * region[2] + origin
        return torch.cat([places[:, :4], score[keep, None], places[:, 4:]], dim=1)


def overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of (4,) with (N, 4)."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared).clamp(min=1e-6)


def is_one(box: Tensor, other: Tensor) -> bool:
    """Boxes of one face, though one may be loose: much overlap, or each has the other's middle."""
    if float(overlap(box, other[None])[0]) > OVERLAP:
        return True
    middle, its = (box[:2] + box[2:]) / 2, (other[:2] + other[2:]) / 2
    return _inside(middle, other) and _inside(its, box)


def _inside(place: Tensor, box: Tensor) -> bool:
    return bool(((place > box[:2]) & (place < box[2:])).all())


def _merged(rows: Tensor) -> Detections:
    """Weighted non-maximum suppression: boxes of one face become their mean by score."""
    rows = rows[rows[:, 4].argsort(descending=True)]
    faces: list[Tensor] = []
    while len(rows):
        same = overlap(rows[0, :4], rows[:, :4]) > OVERLAP
        same[0] = True
        group = rows[same]
        weight = group[:, 4:5] / group[:, 4].sum()
        face = (group * weight).sum(0)
        face[4] = rows[0, 4]
        faces.append(face)
        rows = rows[~same]
    if not faces:
        return NOTHING
    merged = torch.stack(faces)
    return Detections(merged[:, :4], merged[:, 4], merged[:, 5:].view(-1, 2, 2))


def _anchors() -> Tensor:
    """(896, 2) centres as shares of the picture's side."""
    parts: list[Tensor] = []
    for cells, each in LAYERS:
        middles = (torch.arange(cells) + 0.5) / cells
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        parts.append(torch.stack([x, y], dim=2).view(-1, 2).repeat_interleave(each, dim=0))
    return torch.cat(parts)


def _whole_tile(frame: Frame) -> list[float]:
    return [frame.width / 2, frame.height / 2, float(max(frame.width, frame.height)), 0.0]


def _tiles(frame: Frame, side: float, near: Tensor | None) -> list[list[float]]:
    """Upright squares that cover the frame, or the surroundings of a box, half over each other."""
    if near is None:
        x0, y0, x1, y1 = 0.0, 0.0, float(frame.width), float(frame.height)
    else:
        middle, reach = (near[:2] + near[2:]) / 2, float((near[2:] - near[:2]).max()) * 1.5
        reach = max(reach, side / 2)
        x0, y0 = (middle - reach).tolist()
        x1, y1 = (middle + reach).tolist()
    return [[x, y, side, 0.0] for y in _middles(y0, y1, side) for x in _middles(x0, x1, side)]


def _middles(first: float, last: float, side: float) -> list[float]:
    length = last - first
    if length <= side:
        return [(first + last) / 2]
    count = 1 + -int(-(length - side) // (side / 2))
    step = (length - side) / (count - 1)
    return [first + side / 2 + n * step for n in range(count)]
