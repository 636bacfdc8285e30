"""Which faces there are, and who is who: detection, acquisition and re-acquisition.

Frames come in batches; only the current batch is held. Every face that is large enough gets a
follower of its own, because which of them is the largest over the clip is known only at its end.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.faces.cuts import CutFinder
from pipeline.faces.detector import MIN_SCORE, Detections, Detector, Place
from pipeline.faces.follower import FACE, Follower, plausible
from pipeline.faces.mesh import Meshes, MeshNetwork
from pipeline.faces.point_store import PointStore
from pipeline.faces.rectangles import OVERLAP, Rect, area, closeness, is_one, overlap, rect
from pipeline.faces.roi import region_of_box, region_of_points
from pipeline.types import Color, Frame

EVERY = 5
"""Frames between two looks of the detector at the faces that are followed."""
WIDELY = 10
"""Frames between two looks for other faces, while somebody is followed."""
CONFIRMED = 0.6
"""Detector's score at a new face below which it is none; faces have .8, patterns in clouds 0."""
DOUBTS = 3
"""Looks in a row at which the detector saw no face before a follower gives up."""
MAX_FACES = 4
"""Faces that are followed at once."""
MIN_SHARE = 0.2
"""A new face below this share of the largest one's area is not followed."""
REACHES = (2.0, 3.3)
"""Sides of the squares in which the detector is asked about a new face, in sides of its box."""
TURNED_BY = 0.07
"""By so much more of a face is one that stands on its head, the other way round. Seen: .13 to .33
on nine people, and .17 to .95 less on eleven who do not."""
SMALLEST = 40.0
"""Side of the smallest face that is looked for, so that a too small one can be named as such."""
SEARCH_EVERY = 25
"""Frames between two searches through tiles; doubles while nothing is found."""
SEARCH_MOST = 200
VERIFY_LOOKS = 3
REJECTED_FOR = 50
"""Frames for which a detection that is no face is not looked at again."""
JUMP = 0.05
"""Closeness below which a face in the same shot is somebody else."""

Eyes = tuple[Place, Place]


class Tracker:
    """Follows the faces of one clip.

    Args:
        wanted: (4,) box that a chosen face is near, if one was chosen.
    """

    def __init__(
        self,
        detector: Detector,
        mesh: MeshNetwork,
        color: Color,
        new_store: Callable[[], PointStore],
        wanted: Tensor | None = None,
    ) -> None:
        self._detector = detector
        self._mesh = mesh
        self._color = color
        self._new_store = new_store
        self._wanted = rect(wanted.tolist()) if wanted is not None else None
        self._cuts = CutFinder()
        self._search_at = 0
        self._search_gap = SEARCH_EVERY
        self._rejected: list[tuple[int, Rect]] = []
        self._shot_began = 0
        self.followers: list[Follower] = []
        self.cuts: list[int] = []
        """Indices of first frames of shots."""
        self.frames = 0
        self.on_their_heads = 0
        """Looks at faces that are upside down, which nobody follows."""

    def feed(self, frames: Sequence[Frame]) -> None:
        """Follow all faces through the next frames."""
        starts = self._cuts.find(frames)
        self.cuts.extend(frames[n].index for n in starts)
        for first, last in pairwise([0, *starts, len(frames)]):
            self._shot(frames[first:last], fresh=first in starts)
        self.frames += len(frames)

    def _shot(self, frames: Sequence[Frame], *, fresh: bool) -> None:
        """Frames of one shot; `fresh` when it begins with them."""
        if not frames:
            return
        if fresh:
            self._search_at, self._search_gap = frames[0].index, SEARCH_EVERY
            self._shot_began, self._rejected = frames[0].index, []
            for follower in self.followers:
                follower.active = False
        alone = not any(follower.active for follower in self.followers)
        due = {n for n, f in enumerate(frames) if f.index % (EVERY if alone else WIDELY) == 0}
        if alone and (fresh or self.frames == 0):
            due.add(0)
        seen = dict(zip(sorted(due), self._whole(frames, sorted(due)), strict=True))
        events = sorted(due)
        for follower in [f for f in self.followers if f.active]:
            done = follower.follow(frames)
            if done < len(frames):
                heapq.heappush(events, done)
        while events:
            at = heapq.heappop(events)
            if at not in seen:
                seen[at] = self._whole(frames, [at])[0]
            for end in self._acquire(frames, at, seen[at]):
                if end < len(frames):
                    heapq.heappush(events, end)
        self._confirm([frame for frame in frames if frame.index % EVERY == 0])
        self._drop_doubles(frames[-1].index)

    def _confirm(self, frames: Sequence[Frame]) -> None:
        """Ask the detector about the faces that are followed."""
        for follower in self.followers:
            placed = [(f, b) for f in frames if (b := follower.box_at(f.index)) is not None]
            if not placed:
                continue
            boxes = [box for _, box in placed]
            scores = self._detector.confirm([f for f, _ in placed], boxes, self._color)
            for (frame, _), score in zip(placed, scores, strict=True):
                follower.doubt(frame.index, score < MIN_SCORE)
            if follower.doubts_in_a_row >= DOUBTS:
                follower.active = False

    def _whole(self, frames: Sequence[Frame], at: list[int]) -> list[Detections]:
        return self._detector.whole([frames[n] for n in at], self._color) if at else []

    def _acquire(self, frames: Sequence[Frame], at: int, found: Detections) -> list[int]:
        """Give the faces of one frame that nobody follows to followers; returns where those end."""
        frame = frames[at]
        ends: list[int] = []
        for box, eyes in self._unfollowed(frame, found):
            region = self._verified(frame, box, eyes)
            if region is None:
                self._rejected.append((frame.index + REJECTED_FOR, box))
                continue
            if self._is_followed(frame, _box_of(region)):
                continue
            follower = self._owner(frame, region)
            if follower is None:
                continue
            follower.start(region)
            seen = follower.follow(frames[at:])
            if seen:
                ends.append(at + seen)
            else:  # asking for it here once more would never end: until the next look
                self._rejected.append((frame.index + EVERY, box))
                self.followers = [f for f in self.followers if f.rows]
        return ends

    def _unfollowed(self, frame: Frame, found: Detections) -> list[tuple[Rect, Eyes]]:
        """Boxes and eyes of detections that no follower has, most promising first."""
        whole, found = found, self._closer(frame, found)
        near = [f.last_box for f in self.followers if f.box_at(frame.index) is None]
        ranked: list[tuple[float, int]] = []
        for n, (box, score) in enumerate(zip(found.boxes, found.scores, strict=True)):
            if self._is_followed(frame, box):
                continue
            if found is whole and self._is_rejected(frame, box):
                continue
            likely = max((closeness(box, last) for last in near), default=1.0)
            ranked.append((area(box) * max(score - 0.45, 0.01) ** 2 * likely, n))
        return [(found.boxes[n], found.eyes[n]) for _, n in sorted(ranked, reverse=True)]

    def _closer(self, frame: Frame, found: Detections) -> Detections:
        """What was found, or what tiles show when it is time for them and nothing new was found.

        That is nothing, or nothing but what was looked at a moment ago: a small face is seen beside
        its place, if at all.
        """
        if self._wanted is not None and not self.followers and frame.index >= self._search_at:
            close = self._detector.closely(frame, self._color, SMALLEST, self._wanted)
            if len(close):
                return close
        news = any(not self._is_rejected(frame, box) for box in found.boxes)
        if news or frame.index < self._search_at or self._boxes(frame):
            return found
        self._search_at = frame.index + self._search_gap
        self._search_gap = min(SEARCH_MOST, 2 * self._search_gap)
        return self._detector.closely(frame, self._color, SMALLEST)

    def _boxes(self, frame: Frame) -> list[Rect]:
        """Where faces are that are followed."""
        return [box for f in self.followers if (box := f.box_at(frame.index)) is not None]

    def _verified(self, frame: Frame, box: Rect, eyes: Eyes) -> Tensor | None:
        """(4,) region of the face that the mesh sees in a detection, None if it sees none."""
        good = False
        region = region_of_box(*(torch.tensor([place]) for place in (box, *eyes)))
        for _ in range(VERIFY_LOOKS):
            meshes = self._mesh([frame], region, self._color)
            good = bool(plausible(meshes.points.numpy())[0])
            if float(meshes.score[0]) < FACE:
                return None
            last, region = region, region_of_points(meshes.points)
            # A detection in a wide picture is coarse: the first look through it may slip.
            if good and float((region - last)[0, :3].abs().max()) < 0.05 * float(region[0, 2]):
                break
        if not good:
            return None
        box = _box_of(region[0])
        seen = self._detector.confirm([frame], [box], self._color, reaches=REACHES)
        if seen[0] < CONFIRMED:
            return None
        if self._is_on_its_head(frame, box, float(region[0, 3])):
            self.on_their_heads += 1
            return None
        return region[0]

    def _is_on_its_head(self, frame: Frame, box: Rect, angle: float) -> bool:
        """Whether it is more of a face the other way round.

        The mesh, which is as sure of either, puts the mouth on the forehead there.
        """
        upright, turned = (
            self._detector.confirm([frame], [box], self._color, REACHES, way)[0]
            for way in (angle, angle + math.pi)
        )
        return turned > upright + TURNED_BY

    def _is_followed(self, frame: Frame, box: Rect) -> bool:
        return any(is_one(box, other) for other in self._boxes(frame))

    def _is_rejected(self, frame: Frame, box: Rect) -> bool:
        """A lamp that was looked at a moment ago needs no second look."""
        self._rejected = [(until, b) for until, b in self._rejected if until > frame.index]
        return any(overlap(box, b) > OVERLAP for _, b in self._rejected)

    def _owner(self, frame: Frame, region: Tensor) -> Follower | None:
        """The follower that a face belongs to: a lost one that was like it, or a new one."""
        box = _box_of(region)
        self._search_gap = SEARCH_EVERY
        lost = [f for f in self.followers if f.box_at(frame.index) is None]
        if lost:
            best = max(lost, key=lambda f: closeness(box, f.last_box))
            # Inside a shot people do not jump; after a cut nothing but size and place tells.
            if best.last_index < self._shot_began or closeness(box, best.last_box) > JUMP:
                return best
        largest = max(map(area, self._boxes(frame)), default=0.0)
        chosen = self._wanted is not None and closeness(box, self._wanted) > 0.3
        if len(self.followers) >= MAX_FACES or (area(box) < MIN_SHARE * largest and not chosen):
            return None
        self.followers.append(Follower(self._look, self._new_store()))
        return self.followers[-1]

    def _look(self, frames: Sequence[Frame], regions: Tensor) -> Meshes:
        return self._mesh(frames, regions, self._color)

    def _drop_doubles(self, index: int) -> None:
        """Two followers of one face: the one that joined later gives up."""
        boxes: list[Rect] = []
        for follower in self.followers:
            box = follower.box_at(index) if follower.active else None
            if box is None:
                continue
            if any(overlap(box, other) > OVERLAP for other in boxes):
                follower.active = False
            else:
                boxes.append(box)


def _box_of(region: Tensor) -> Rect:
    x, y, side, _ = region.tolist()
    half = side / 3  # a region is one and a half boxes wide
    return (x - half, y - half, x + half, y + half)
