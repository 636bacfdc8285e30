"""The face of a reference, frame by frame: the one entry that the rest of the pipeline uses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit, pack, unpack
from pipeline.errors import NoFace
from pipeline.faces import smooth
from pipeline.faces.appearance import ROW
from pipeline.faces.covered import covered
from pipeline.faces.follower import COLUMNS, Follower
from pipeline.faces.loaded import networks
from pipeline.faces.mesh import POINTS
from pipeline.faces.smooth import Geometry
from pipeline.faces.store import PointStore
from pipeline.faces.tracker import EVERY, Tracker
from pipeline.types import Frame, Limits, OnTick, Tick, VideoFacts
from schemas.codes import Stage
from schemas.request import FaceBox

BATCH = 8
"""Frames that are looked at together, and the most that are held."""
FADE_YAW, MAX_YAW = 35.0, 40.0
"""Degrees: from the first on an engine fades to the source, beyond the second there is no face."""
COVERED_FRAMES = 25
"""A gap of at most this many frames inside a shot is a face that was covered for a moment."""

RIVAL = 0.5
"""Another face of at least this share of the largest one's area is named: it may be meant."""

Reason = Literal["no_face", "profile", "small_face", "occluded"]
_REASONS: tuple[Reason | None, ...] = (None, "no_face", "profile", "small_face", "occluded")


class FaceTrack:
    """One person's face over a clip of N frames. Points lie on disk; the rest is small.

    The points are smoothed over time once (`pipeline.faces.smooth`: 0.8 frames, less where they
    move quickly, never across a cut or a gap); all other values are taken from the smoothed points.
    """

    def __init__(
        self, geometry: Geometry, score: Tensor, reasons: Tensor, facts: dict[str, Any]
    ) -> None:
        self._geometry = geometry
        self._reasons = reasons
        self._facts = facts
        self.score = score
        """(N,) how sure the network was that there is a face, 0 to 1."""
        self.present = geometry.present
        """(N,) bool: a face was seen."""
        self.usable = reasons == 0
        """(N,) bool: a face is there, large enough, not in profile, its mouth in sight."""
        self.yaw, self.pitch, self.roll = geometry.yaw, geometry.pitch, geometry.roll
        """(N,) degrees, signs as in `pipeline.faces.pose`; 0 where no face is."""
        self.io = geometry.io
        """(N,) distance of the outer eye corners, pixels; 0 where no face is."""
        self.box = geometry.box
        """(N, 4) x0 y0 x1 y1 around all points, pixels; 0 where no face is."""
        self.cut = geometry.cut
        """(N,) bool: the first frame after a cut or a jump of the face."""
        self.faces_seen: int = facts["faces_seen"]
        """Faces that were told apart, at least 1."""

    def __len__(self) -> int:
        return len(self.present)

    def points(self, start: int, stop: int) -> Tensor:
        """Meshes of frames `start` to `stop`.

        Returns:
            (n, 478, 3) float32 pixels of the whole frame; depth on the same scale, smaller is
            nearer. Rows of frames that are not `present` are NaN.
        """
        return self._geometry.store.read(max(start, 0), min(stop, len(self)))

    def reason(self, index: int) -> Reason | None:
        """Why a frame has no usable face; None where it has one."""
        if not 0 <= index < len(self):
            return "no_face"
        return _REASONS[int(self._reasons[index])]

    def summary(self) -> dict[str, Any]:
        """Facts for the render's report, JSON types only."""
        return dict(self._facts)

    def warnings(self) -> list[str]:
        """What a report says of a choice that somebody else might have made."""
        rival = self._facts.get("rival")
        if rival is None:
            return []
        box = ", ".join(f"{place:.0f}" for place in rival["box"])
        return [
            f"another face is {rival['share']:.0%} as large as the painted one where both are"
            f' seen; `options.face` chooses it: {{"box": [{box}]}}'
        ]

    def parts(self) -> Parts:
        """What to keep of it (`pipeline.avatars`)."""
        found = pack(self._geometry)
        found.tensors["score"] = self.score.contiguous()
        found.tensors["reasons"] = self._reasons.contiguous()
        found.facts["said"] = self._facts
        return found

    @classmethod
    def restored(cls, parts: Parts) -> FaceTrack:
        """A track from its parts.

        Raises:
            Unfit: they are not a track's.
        """
        geometry = unpack(Geometry, parts, "cpu")
        tensors, said = parts.tensors, parts.facts.get("said")
        if not isinstance(said, dict) or not {"score", "reasons"} <= tensors.keys():
            raise Unfit("not a face track")
        if geometry.store.shape != (POINTS, 3) or len(geometry.store) != len(geometry.present):
            raise Unfit("a face track of another length than its meshes")
        return cls(geometry, tensors["score"], tensors["reasons"], said)


def track_faces(
    frames: Iterator[Frame],
    video: VideoFacts,
    *,
    choice: Literal["largest"] | FaceBox,
    limits: Limits,
    scratch: Path,
    device: str,
    threads: int,
    on_tick: OnTick,
    total: int,
) -> FaceTrack:
    """Follow a face through a clip, once, in order.

    Args:
        frames: grid frames from index 0 on, without gaps.
        video: facts of the clip.
        choice: `largest`: the face with the largest area summed over the clip; or a box: the face
            that is nearest to it in the median frame.
        limits: its `min_face_px` is the smallest usable face.
        scratch: folder for the points, 5.7 kB per frame and face.
        device: where the networks run.
        threads: processor budget; with two, each looks at half of a batch. The decoder's is beside.
        on_tick: told after each batch.
        total: frames to expect.

    Raises:
        NoFace: no frame has a usable face; the detail says what was seen instead.
        WeightsMissing: the face models are not on this machine.
    """
    detector, mesh = networks(device, threads)
    wanted = _asked(choice, video) if isinstance(choice, FaceBox) else None
    tracker = Tracker(detector, mesh, video.color, lambda: PointStore(scratch), wanted)
    with torch.inference_mode():
        while batch := list(islice(frames, BATCH)):
            tracker.feed(batch)
            on_tick(Tick("track", tracker.frames, max(total, tracker.frames)))
        return _finished(tracker, wanted, video, limits, scratch)


def _asked(choice: FaceBox, video: VideoFacts) -> Tensor:
    """(4,) what the box holds of the frame: boxes count pixels of the reference before scaling,
    and what lies beyond the frame would be searched through for nothing, however far it goes."""
    sides = (video.width, video.height) * 2
    places = zip(choice.box, sides, strict=True)
    return torch.tensor([min(max(place * video.scale, 0.0), side) for place, side in places])


def _finished(
    tracker: Tracker, wanted: Tensor | None, video: VideoFacts, limits: Limits, scratch: Path
) -> FaceTrack:
    followers = tracker.followers
    if not followers:
        counts = {"no_face": tracker.frames}
        raise _no_face(tracker.frames, counts, limits, None, tracker.on_their_heads)
    chosen = _chosen(followers, wanted)
    for other in followers:
        if other is not chosen:
            other.store.close()
    score = _padded(chosen, tracker.frames)[:, 0]
    geometry = smooth.finish(chosen.store, score > 0, tracker.cuts, PointStore(scratch))
    chosen.store.close()
    shot = geometry.cut.cumsum(0)
    colors = _colors(chosen, tracker.frames)
    hidden = covered(colors, geometry.present, shot, geometry.opening) | _cut_off(geometry, video)
    reasons = _reasons(geometry, chosen.doubtful, hidden, limits)
    usable = reasons == 0
    if not bool(usable.any()):
        counts = {name: int((reasons == n).sum()) for n, name in enumerate(_REASONS) if name}
        raise _no_face(tracker.frames, counts, limits, geometry)
    facts = _facts(geometry, usable, len(followers), wanted)
    facts["rival"] = _rival(chosen, followers, video) if wanted is None else None
    return FaceTrack(geometry, score, reasons, facts)


def _padded(follower: Follower, frames: int) -> Tensor:
    rows = torch.zeros(frames, COLUMNS)
    seen = torch.tensor(follower.rows).view(-1, COLUMNS)[:frames]
    rows[: len(seen)] = seen
    return rows


def _colors(follower: Follower, frames: int) -> Tensor:
    rows = torch.zeros(frames, ROW, 3, dtype=torch.uint8)
    seen = torch.frombuffer(follower.colors, dtype=torch.uint8).view(-1, ROW, 3)
    rows[: len(seen)] = seen
    return rows


def _chosen(followers: list[Follower], wanted: Tensor | None) -> Follower:
    if wanted is None:
        return max(followers, key=lambda follower: follower.area_sum)

    def distance(follower: Follower) -> float:
        rows = torch.tensor(follower.rows).view(-1, COLUMNS)
        boxes = rows[rows[:, 0] > 0, 1:]
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        return float((middles - (wanted[:2] + wanted[2:]) / 2).norm(dim=1).median())

    return min(followers, key=distance)


def _reasons(geometry: Geometry, doubtful: list[int], hidden: Tensor, limits: Limits) -> Tensor:
    """(N,) uint8 places in `_REASONS`."""
    reasons = torch.zeros(len(geometry.present), dtype=torch.uint8)
    for index in doubtful:  # a look stands for the frames around it up to the neighbouring looks
        reasons[max(0, index - EVERY + 1) : index + EVERY] = _REASONS.index("occluded")
    reasons[hidden] = _REASONS.index("occluded")
    side = (geometry.box[:, 2:] - geometry.box[:, :2]).amax(1)
    reasons[geometry.yaw.abs() > MAX_YAW] = _REASONS.index("profile")
    reasons[side < limits.min_face_px] = _REASONS.index("small_face")
    for start, stop in _gaps(geometry.present):
        reasons[start:stop] = _REASONS.index(_why_gone(geometry, start, stop))
    return reasons


def _cut_off(geometry: Geometry, video: VideoFacts) -> Tensor:
    """(N,) bool: the picture ends before the mouth, of which nobody saw what it does."""
    x, y = geometry.mouth.unbind(1)
    inside = (x >= 0) & (x <= video.width - 1) & (y >= 0) & (y <= video.height - 1)
    return ~inside & geometry.present


def _gaps(present: Tensor) -> list[tuple[int, int]]:
    """Runs of frames without a face."""
    absent = torch.cat([torch.zeros(1), (~present).float(), torch.zeros(1)])
    edges = absent.diff()
    starts, stops = (edges > 0).nonzero()[:, 0].tolist(), (edges < 0).nonzero()[:, 0].tolist()
    return list(zip(starts, stops, strict=True))


def _why_gone(geometry: Geometry, start: int, stop: int) -> Reason:
    sides = [n for n in (start - 1, stop) if 0 <= n < len(geometry.present)]
    if any(abs(float(geometry.yaw[n])) > FADE_YAW - 10 for n in sides):
        return "profile"
    within = len(sides) == 2 and not bool(geometry.cut[start : stop + 1].any())
    return "occluded" if within and stop - start <= COVERED_FRAMES else "no_face"


def _facts(geometry: Geometry, usable: Tensor, faces: int, wanted: Tensor | None) -> dict[str, Any]:
    box = geometry.box[usable].median(0).values
    side = (geometry.box[usable, 2:] - geometry.box[usable, :2]).amax(1).median()
    return {
        "faces_seen": faces,
        "frames": len(usable),
        "usable_frames": int(usable.sum()),
        "face_px": round(float(side), 1),
        "io_px": round(float(geometry.io[usable].median()), 1),
        "choice": "largest" if wanted is None else "box",
        "box": [round(v, 1) for v in box.tolist()],
    }


def _rival(chosen: Follower, followers: list[Follower], video: VideoFacts) -> dict[str, Any] | None:
    """The largest face beside the chosen one, where it is nearly as large; its box as a request
    would name it."""
    shares = [_share_beside(follower, chosen) for follower in followers]
    share, rival = max(zip(shares, followers, strict=True), key=lambda pair: pair[0])
    if share < RIVAL:
        return None
    return {"share": round(share, 2), "box": [round(v / video.scale, 1) for v in rival.last_box]}


def _share_beside(other: Follower, chosen: Follower) -> float:
    """A face's area against the chosen one's, in frames that show both; 0 of the chosen itself."""
    if other is chosen:
        return 0.0
    frames = min(other.last_index, chosen.last_index) + 1
    theirs, ours = (_padded(each, frames) for each in (other, chosen))
    both = (theirs[:, 0] > 0) & (ours[:, 0] > 0)
    areas = [(rows[both, 3:] - rows[both, 1:3]).prod(1).sum() for rows in (theirs, ours)]
    return float(areas[0] / areas[1]) if bool(both.any()) else 0.0


def _no_face(
    frames: int,
    counts: dict[str, int],
    limits: Limits,
    geometry: Geometry | None,
    on_their_heads: int = 0,
) -> NoFace:
    said = {
        "no_face": "no face was found",
        "profile": f"the face is turned further than {MAX_YAW:.0f} degrees",
        "small_face": f"the face is smaller than {limits.min_face_px:.0f} px",
        "occluded": "the mouth is covered, or outside the picture",
    }
    seen = ", ".join(f"{said[k]} in {n}" for k, n in counts.items() if n)
    if on_their_heads:
        seen += ", but one that stands on its head: turn the video"
    largest = 0.0
    if geometry is not None:
        largest = float((geometry.box[:, 2:] - geometry.box[:, :2]).amax())
    return NoFace(
        f"none of the {frames} frames shows a usable face: {seen}",
        stage=Stage.TRACK,
        frames=frames,
        largest_face_px=round(largest, 1),
        min_face_px=limits.min_face_px,
        **counts,
    )
