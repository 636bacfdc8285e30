"""One face, followed from frame to frame by its own mesh.

A batch of frames is looked at with regions that continue where the last ones were and glide to
where the face is going; a region that is right already is not moved at all, so that a face that
keeps still is sampled at the very same places and its points do not jitter. Only frames whose face
turned out to be elsewhere are looked at again.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces.appearance import ROW
from pipeline.faces.guessed import Glances
from pipeline.faces.mesh import Meshes
from pipeline.faces.motion import Window
from pipeline.faces.point_store import PointStore
from pipeline.faces.rectangles import Rect, rect
from pipeline.faces.roi import bounds, region_of_bounds
from pipeline.faces.topology import EYE_CORNERS_OUTER, LIP_CORNERS
from pipeline.runs import ascending_runs
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
_LANDMARKS = [*EYE_CORNERS_OUTER, *LIP_CORNERS, 2, 152]
"""Eyes, corners of the mouth, below the nose, chin."""
Rows = NDArray[np.float32]


class Follower:
    """One face and what is known of it."""

    def __init__(self, look: Look, store: PointStore) -> None:
        self._look = look
        self.store = store
        self.rows = array("f")
        """Score and box (x0 y0 x1 y1) of each frame by index; the score is 0 where it is absent."""
        self.colors = bytearray()
        """(ROW, 3) of each frame by index, see `pipeline.faces.appearance`; zeros where absent."""
        self.active = False
        self.last_box: Rect = (0.0, 0.0, 0.0, 0.0)
        """Where it was seen last."""
        self.area_sum = 0.0
        """Pixels of its boxes, summed over the frames that it was in."""
        self.doubtful: list[int] = []
        """Frames in which the detector saw no face where the mesh was."""
        self.doubts_in_a_row = 0
        self.glances = Glances()
        self._region: Rows = np.zeros(4, np.float32)
        self._recent: list[Rows] = []
        self._restless = 0
        self._window: Window | None = None

    @property
    def last_index(self) -> int:
        """The frame that it was seen in last."""
        return len(self.rows) // COLUMNS - 1

    def box_at(self, index: int) -> Rect | None:
        """Where it was in a frame, None where it was absent or not looked for."""
        row = self.rows[index * COLUMNS : (index + 1) * COLUMNS]
        return rect(row[1:]) if row and row[0] else None

    def seen(self, frames: int) -> Tensor:
        """(frames, COLUMNS) `rows` of a clip's first frames."""
        rows = torch.zeros(frames, COLUMNS)
        known = torch.tensor(self.rows).view(-1, COLUMNS)[:frames]
        rows[: len(known)] = known
        return rows

    def colors_seen(self, frames: int) -> Tensor:
        """(frames, ROW, 3) uint8 `colors` of a clip's first frames; it was seen in none after."""
        rows = torch.zeros(frames, ROW, 3, dtype=torch.uint8)
        known = torch.frombuffer(self.colors, dtype=torch.uint8).view(-1, ROW, 3)
        rows[: len(known)] = known
        return rows

    def start(self, region: Tensor) -> None:
        """Be at (4,) `region` from the next frame followed on."""
        self._region, self._recent, self.active = region.numpy(), [], True
        self.doubts_in_a_row = self._restless = 0
        self._window = None
        self.glances.anew()

    def doubt(self, index: int, doubtful: bool) -> None:
        """What the detector thinks of a frame."""
        self.doubts_in_a_row = self.doubts_in_a_row + 1 if doubtful else 0
        if doubtful:
            self.doubtful.append(index)

    def follow(self, frames: Sequence[Frame]) -> int:
        """Follow through frames of one shot; in how many it was seen, from the first on."""
        regions = self._guided(frames, self._glide(len(frames)))
        seen = self._seen(frames, regions)
        count = len(frames) if seen.good.all() else int(seen.good.argmin())
        if count:
            self._record(frames[:count], seen)
            self._region = regions[count - 1]
            self._recent = [*self._recent, *seen.regions[:count]][-4:]
            self._restless -= self._restless > 0
            self._window = Window(frames[count - 1], self._recent[-1]) if self._restless else None
            self.glances.take(self._look, frames[count - 1], self._recent[-1])
        self.active = count == len(frames)
        return count

    def _seen(self, frames: Sequence[Frame], regions: Rows) -> _Seen:
        """What is there; `regions` becomes what was looked at in the end."""
        seen = _Seen.of(self._look(frames, torch.from_numpy(regions)))
        for _ in range(LOOKS - 1):
            own = np.where(seen.good[:, None], seen.regions, np.float32(math.nan))
            again = _elsewhere(own, regions) | (seen.score < SURE)
            better = _filled(own, again)
            with np.errstate(invalid="ignore"):
                again &= np.abs(better - regions).max(1) > 1.0  # never of a place that is unknown
            if not again.any():
                break
            self._restless = RESTLESS + 1
            regions[again] = better[again]
            chosen = again.nonzero()[0].tolist()
            more = self._look([frames[n] for n in chosen], torch.from_numpy(regions[again]))
            seen = seen.replaced(again, more)
        return seen

    def _glide(self, count: int) -> Rows:
        """(count, 4) regions for the next frames: from the last one towards the face."""
        if not self._recent:
            return np.tile(self._region, (count, 1))
        newest = self._recent[-1]
        speed: Rows = (newest - self._recent[0]) / np.float32(max(1, len(self._recent) - 1))
        ahead: Rows = np.arange(1, count + 1, dtype=np.float32)[:, None]
        slower: Rows = 1 - ahead / np.float32(4 * count)
        target: Rows = newest + speed * ahead * slower
        off = np.abs(target - self._region).max(0)
        rest = REST[0] * newest[2], REST[0] * newest[2], REST[1] * newest[2], REST[2]
        if (off < rest).all():
            return np.tile(self._region, (count, 1))
        left: Rows = 1 - ahead / np.float32(count)
        return target + (self._region - newest) * left

    def _guided(self, frames: Sequence[Frame], regions: Rows) -> Rows:
        """Regions of frames by which the face has gone elsewhere move after it."""
        if self._window is None:
            return regions
        there = self._recent[-1][:2] + self._window.shifts(frames).numpy()
        with np.errstate(invalid="ignore"):
            gone = _norm(there - regions[:, :2]) > MOVED / 2 * regions[:, 2]
        regions[gone, :2] = there[gone]
        return regions

    def _record(self, frames: Sequence[Frame], seen: _Seen) -> None:
        count, size = len(frames), 3 * ROW
        boxes = seen.boxes[:count]
        rows = np.concatenate([seen.score[:count, None], boxes], axis=1)
        prints = bytes(seen.colors[:count].contiguous().numpy().data.cast("B"))
        for start, stop in ascending_runs([frame.index for frame in frames]):
            self.store.write(frames[start].index, seen.points[start:stop])
        for n, (frame, row) in enumerate(zip(frames, rows.tolist(), strict=True)):
            self.colors.extend(bytes(max(0, (frame.index + 1) * size - len(self.colors))))
            self.colors[frame.index * size : (frame.index + 1) * size] = prints[
                n * size : (n + 1) * size
            ]
            missing = (frame.index + 1) * COLUMNS - len(self.rows)
            self.rows.extend([0.0] * missing)
            self.rows[frame.index * COLUMNS :] = array("f", row)
        self.last_box = rect(boxes[-1].tolist())
        self.area_sum += float((boxes[:, 2:] - boxes[:, :2]).prod(1).sum())


@dataclass(frozen=True, slots=True)
class _Seen:
    """Meshes that were found, and what follows from them."""

    points: Tensor
    """(N, 478, 3), see `Meshes`."""
    colors: Tensor
    """(N, ROW, 3)."""
    score: Rows
    """(N,)."""
    boxes: Rows
    """(N, 4) around the points."""
    regions: Rows
    """(N, 4) that belong to them."""
    good: NDArray[np.bool_]
    """(N,) whether they are a face's."""

    @classmethod
    def of(cls, found: Meshes) -> _Seen:
        points, score = found.points.numpy(), found.score.numpy()
        low, high = bounds(points)
        regions = region_of_bounds(points, low, high)
        good = (score >= FACE) & plausible(points)
        return cls(
            found.points, found.colors, score, np.concatenate([low, high], axis=1), regions, good
        )

    def replaced(self, again: NDArray[np.bool_], more: Meshes) -> _Seen:
        """With others in some places."""
        others = _Seen.of(more)
        for mine, its in (
            (self.points.numpy(), others.points.numpy()),
            (self.colors.numpy(), others.colors.numpy()),
            (self.score, others.score),
            (self.boxes, others.boxes),
            (self.regions, others.regions),
            (self.good, others.good),
        ):
            mine[again] = its
        return self


def plausible(points: Rows) -> NDArray[np.bool_]:
    """(N,) True where (N, 478, 3) points can be a face: eyes, nose, mouth and chin in order."""
    left, right, one_corner, other_corner, nose, chin = points[:, _LANDMARKS].swapaxes(0, 1)
    across = right - left
    io = np.maximum(_norm(across), 1e-3)
    across = across[:, :2] / np.maximum(_norm(across[:, :2]), 1e-3)[:, None]
    down = np.stack([-across[:, 1], across[:, 0]], axis=1)
    eyes, mouth = (left + right) / 2, (one_corner + other_corner) / 2
    below = np.stack([nose, mouth, chin])[..., :2] - eyes[:, :2]
    to_nose, to_mouth, to_chin = (below * down).sum(2) / io
    good: NDArray[np.bool_] = (io > 4) & (to_nose > 0.1) & (to_mouth > 0.3) & (to_chin < 3)
    good &= (to_mouth > to_nose) & (to_chin > to_mouth)
    return good


def _norm(vectors: Rows) -> Rows:
    """(N,) lengths."""
    lengths: Rows = np.sqrt((vectors * vectors).sum(1))
    return lengths


def _elsewhere(own: Rows, looked: Rows) -> NDArray[np.bool_]:
    size = looked[:, 2]
    with np.errstate(invalid="ignore"):
        moved = _norm(own[:, :2] - looked[:, :2]) > MOVED * size
        grew = np.abs(np.log(own[:, 2] / size)) > math.log(GREW)
        turned = np.abs(own[:, 3] - looked[:, 3]) > TURNED
    elsewhere: NDArray[np.bool_] = moved | grew | turned
    return elsewhere


def _filled(own: Rows, again: NDArray[np.bool_]) -> Rows:
    """Where to look again: at the face itself, or where it was in the frame before."""
    better = own.copy()
    for n in again.nonzero()[0].tolist():
        if n and np.isnan(better[n, 0]):
            better[n] = better[n - 1]
    return better
