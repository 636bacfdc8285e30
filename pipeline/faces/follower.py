"""One face, followed from frame to frame by its own mesh.

A batch of frames is looked at with regions that continue where the last ones were and glide to
where the face is going; a region that is right already is not moved at all, so that a face that
keeps still is sampled at the very same places and its points do not jitter. Only frames whose face
turned out to be elsewhere are looked at again.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.faces.appearance import ROW
from pipeline.faces.mesh import Meshes
from pipeline.faces.motion import Window
from pipeline.faces.roi import EYES, region_of_points
from pipeline.faces.store import PointStore
from pipeline.types import Frame

Look = Callable[[Sequence[Frame], Tensor], Meshes]

SURE = 0.8
"""A frame with a lower score is looked at again."""
FACE = 0.5
"""Below this score there is no face."""
MOVED, GREW, TURNED = 0.05, 1.15, 0.15
"""A face this far (shares of the region), this much larger or this far turned (rad) from where it
was expected is looked at again. The network pulls a mesh towards the middle of its picture: with
12 %, lips were seen closed that were open."""
REST = (0.02, 0.03, 0.02)
"""A region that is off by less keeps still."""
RESTLESS = 8
"""Batches for which the picture is asked where a face went that was not where it was expected."""
COLUMNS = 5
LOOKS = 3
"""Times that a frame is looked at."""


class Follower:
    """One face and what is known of it.

    Args:
        look: places meshes in regions of frames.
        store: takes the points.
    """

    def __init__(self, look: Look, store: PointStore) -> None:
        self._look = look
        self.store = store
        self.rows = array("f")
        """Score and box (x0 y0 x1 y1) of each frame by index; the score is 0 where it is absent."""
        self.colors = bytearray()
        """(ROW, 3) of each frame by index, see `pipeline.faces.appearance`; zeros where absent."""
        self.active = False
        self.last_box = torch.zeros(4)
        """Where it was seen last."""
        self.area_sum = 0.0
        """Pixels of its boxes, summed over the frames that it was in."""
        self.doubtful: list[int] = []
        """Frames in which the detector saw no face where the mesh was."""
        self.doubts_in_a_row = 0
        self._region = torch.zeros(4)
        self._recent: list[Tensor] = []
        self._restless = 0
        self._window: Window | None = None

    @property
    def last_index(self) -> int:
        """The frame that it was seen in last."""
        return len(self.rows) // COLUMNS - 1

    def box_at(self, index: int) -> Tensor | None:
        """(4,) where it was in a frame, None where it was absent or not looked for."""
        row = self.rows[index * COLUMNS : (index + 1) * COLUMNS]
        return torch.tensor(row[1:]) if row and row[0] else None

    def start(self, region: Tensor) -> None:
        """Be at (4,) `region` from the next frame followed on."""
        self._region, self._recent, self.active = region, [], True
        self.doubts_in_a_row = self._restless = 0
        self._window = None

    def doubt(self, index: int, doubtful: bool) -> None:
        """What the detector thinks of a frame."""
        self.doubts_in_a_row = self.doubts_in_a_row + 1 if doubtful else 0
        if doubtful:
            self.doubtful.append(index)

    def follow(self, frames: Sequence[Frame]) -> int:
        """Follow through frames of one shot.

        Returns:
            How many of them it was seen in before it was lost, if it was.
        """
        regions = self._guided(frames, self._glide(len(frames)))
        seen = self._seen(frames, regions)
        points, scores = seen.points, seen.score
        good = (scores >= FACE) & plausible(points)
        count = len(frames) if bool(good.all()) else int(good.long().argmin())
        if count:
            self._record(frames[:count], points[:count], scores[:count], seen.colors)
            self._region = regions[count - 1]
            self._recent = [*self._recent, *region_of_points(points[:count])][-4:]
            self._restless -= self._restless > 0
            self._window = Window(frames[count - 1], self._recent[-1]) if self._restless else None
        self.active = count == len(frames)
        return count

    def _seen(self, frames: Sequence[Frame], regions: Tensor) -> Meshes:
        """What is there; `regions` becomes what was looked at in the end."""
        found = self._look(frames, regions)
        points, scores = found.points, found.score
        for _ in range(LOOKS - 1):
            own = region_of_points(points)
            own[~((scores >= FACE) & plausible(points))] = math.nan
            again = _elsewhere(own, regions) | (scores < SURE)
            better = _filled(own, again)
            again &= ~better.isnan().any(1) & ((better - regions).abs().amax(1) > 1.0)
            if not bool(again.any()):
                break
            self._restless = RESTLESS + 1
            chosen = again.nonzero()[:, 0].tolist()
            more = self._look([frames[n] for n in chosen], better[again])
            points[again], scores[again], regions[again] = more.points, more.score, better[again]
            found.colors[again] = more.colors
        return found

    def _glide(self, count: int) -> Tensor:
        """(count, 4) regions for the next frames: from the last one towards the face."""
        if not self._recent:
            return self._region.repeat(count, 1)
        newest = self._recent[-1]
        speed = (newest - self._recent[0]) / max(1, len(self._recent) - 1)
        ahead = torch.arange(1, count + 1).unsqueeze(1)
        target = newest + speed * ahead * (1 - ahead / (4 * count))
        off = (target - self._region).abs().amax(0)
        if bool(
            (off[:2].amax() < REST[0] * newest[2])
            & (off[2] < REST[1] * newest[2])
            & (off[3] < REST[2])
        ):
            return self._region.repeat(count, 1)
        return target + (self._region - newest) * (1 - ahead / count)

    def _guided(self, frames: Sequence[Frame], regions: Tensor) -> Tensor:
        """Regions of frames by which the face has gone elsewhere move after it."""
        if self._window is None:
            return regions
        there = self._recent[-1][:2] + self._window.shifts(frames)
        gone = (there - regions[:, :2]).norm(dim=1) > MOVED / 2 * regions[:, 2]
        regions[gone, :2] = there[gone]
        return regions

    def _record(
        self, frames: Sequence[Frame], points: Tensor, scores: Tensor, colors: Tensor
    ) -> None:
        low, high = points[..., :2].amin(1), points[..., :2].amax(1)
        rows = torch.cat([scores[:, None], low, high], dim=1)
        size = 3 * ROW
        prints = bytes(colors[: len(frames)].contiguous().numpy().data.cast("B"))
        for start, stop in _runs(frames):
            self.store.write(frames[start].index, points[start:stop])
        for n, (frame, row) in enumerate(zip(frames, rows.tolist(), strict=True)):
            self.colors.extend(bytes(max(0, (frame.index + 1) * size - len(self.colors))))
            self.colors[frame.index * size : (frame.index + 1) * size] = prints[
                n * size : (n + 1) * size
            ]
            missing = (frame.index + 1) * COLUMNS - len(self.rows)
            self.rows.extend([0.0] * missing)
            self.rows[frame.index * COLUMNS :] = array("f", row)
        self.last_box = rows[-1, 1:]
        self.area_sum += float((high - low).prod(1).sum())


def _runs(frames: Sequence[Frame]) -> Iterator[tuple[int, int]]:
    """Places of frames that follow each other in the clip."""
    edges = [n for n in range(1, len(frames)) if frames[n].index != frames[n - 1].index + 1]
    yield from pairwise([0, *edges, len(frames)])


def plausible(points: Tensor) -> Tensor:
    """(N,) True where (N, 478, 3) points can be a face: eyes, nose, mouth and chin in order."""
    flat = points[..., :2]
    left, right = flat[:, EYES[0]], flat[:, EYES[1]]
    io = (points[:, EYES[1]] - points[:, EYES[0]]).norm(dim=1).clamp(min=1e-3)
    across = (right - left) / (right - left).norm(dim=1, keepdim=True).clamp(min=1e-3)
    down = torch.stack([-across[:, 1], across[:, 0]], dim=1)
    eyes, mouth = (left + right) / 2, (flat[:, 61] + flat[:, 291]) / 2
    to_nose = ((flat[:, 2] - eyes) * down).sum(1) / io
    to_mouth = ((mouth - eyes) * down).sum(1) / io
    to_chin = ((flat[:, 152] - eyes) * down).sum(1) / io
    good: Tensor = (io > 4) & (to_nose > 0.1) & (to_mouth > 0.3) & (to_chin < 3)
    ordered: Tensor = good & (to_mouth > to_nose) & (to_chin > to_mouth)
    return ordered


def _elsewhere(own: Tensor, looked: Tensor) -> Tensor:
    size = looked[:, 2]
    moved = (own[:, :2] - looked[:, :2]).norm(dim=1) > MOVED * size
    grew = (own[:, 2] / size).log().abs() > math.log(GREW)
    turned = (own[:, 3] - looked[:, 3]).abs() > TURNED
    elsewhere: Tensor = moved | grew | turned
    return elsewhere


def _filled(own: Tensor, again: Tensor) -> Tensor:
    """Where to look again: at the face itself, or where it was in the frame before."""
    better = own.clone()
    for n in again.nonzero()[:, 0].tolist():
        if bool(better[n].isnan().any()) and n:
            better[n] = better[n - 1]
    return better
