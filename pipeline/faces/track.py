"""The face of a reference, frame by frame: the one entry that the rest of the pipeline uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit, pack, unpack
from pipeline.faces import smooth
from pipeline.faces.appearance import COMPLEXION, complexion
from pipeline.faces.choice import asked_box, find_rival, pick
from pipeline.faces.guessed import guessed
from pipeline.faces.loaded import networks
from pipeline.faces.mesh import POINTS
from pipeline.faces.occlusion import covered
from pipeline.faces.point_store import PointStore
from pipeline.faces.smooth import Geometry
from pipeline.faces.tracker import Tracker
from pipeline.faces.usable import REASONS, cut_off, no_face, reasons_of
from pipeline.types import Frame, Limits, OnTick, Tick, VideoFacts
from schemas.render import SpanKind
from schemas.request import FaceBox

BATCH = 8
"""Frames that are looked at together, and the most that are held."""


class FaceTrack:
    """One person's face over a clip of N frames. Points lie on disk; the rest is small.

    The points are smoothed over time once (`pipeline.faces.smooth`: 0.8 frames, less where they
    move quickly, never across a cut or a gap); all other values are taken from the smoothed points.
    """

    def __init__(
        self,
        geometry: Geometry,
        score: Tensor,
        reasons: Tensor,
        complexion: Tensor,
        facts: dict[str, Any],
    ) -> None:
        self._geometry = geometry
        self._reasons = reasons
        self._facts = facts
        self.score = score
        """(N,) how sure the network was that there is a face, 0 to 1."""
        self.complexion = complexion
        """(N, COMPLEXION) float16, see `pipeline.faces.appearance`; anything where no face is."""
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

    def reason(self, index: int) -> SpanKind | None:
        """Why a frame has no usable face; None where it has one."""
        if not 0 <= index < len(self):
            return "no_face"
        return REASONS[int(self._reasons[index])]

    def summary(self) -> dict[str, Any]:
        """Facts for the render's report, JSON types only."""
        return dict(self._facts)

    def warnings(self) -> list[str]:
        """What a report says of choices that somebody else might have made."""
        said: list[str] = []
        if doubted := self._facts.get("perhaps_covered"):
            said.append(
                f"the mouth may be covered in the reference (frames: {doubted}), and is painted;"
                " a reference that shows it gives a better picture"
            )
        rival = self._facts.get("rival")
        if rival is None:
            return said
        box = ", ".join(f"{place:.0f}" for place in rival["box"])
        return [
            *said,
            f"another face is {rival['share']:.0%} as large as the painted one where both are"
            f' seen; `options.face` chooses it: {{"box": [{box}]}}',
        ]

    def parts(self) -> Parts:
        """What to keep of it (`pipeline.avatars`)."""
        found = pack(self._geometry)
        found.tensors["score"] = self.score.contiguous()
        found.tensors["reasons"] = self._reasons.contiguous()
        found.tensors["complexion"] = self.complexion.contiguous()
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
        if not isinstance(said, dict) or not {"score", "reasons", "complexion"} <= tensors.keys():
            raise Unfit("not a face track")
        if geometry.store.shape != (POINTS, 3) or len(geometry.store) != len(geometry.present):
            raise Unfit("a face track of another length than its meshes")
        if tensors["complexion"].shape != (len(geometry.present), COMPLEXION):
            raise Unfit("a face track with other complexions")
        return cls(geometry, tensors["score"], tensors["reasons"], tensors["complexion"], said)


@dataclass(frozen=True, slots=True)
class Tracking:
    """Whose face is looked for, and by what means."""

    choice: Literal["largest"] | FaceBox
    """`largest`: the face with the largest area summed over the clip; or a box: the face that is
    nearest to it in the median frame."""
    limits: Limits
    """Its `min_face_px` is the smallest usable face."""
    scratch: Path
    """Folder for the points, 5.7 kB per frame and face."""
    device: str
    """Where the networks run."""
    threads: int
    """Processor budget; with two, each looks at half of a batch. The decoder's is beside."""


def track_faces(
    frames: Iterator[Frame], video: VideoFacts, how: Tracking, total: int, on_tick: OnTick
) -> FaceTrack:
    """Follow a face through a clip, once, in order.

    Args:
        frames: grid frames from index 0 on, without gaps.

    Raises:
        NoFace: no frame has a usable face; the detail says what was seen instead.
        WeightsMissing: the face models are not on this machine.
    """
    detector, mesh = networks(how.device, how.threads)
    wanted = asked_box(how.choice, video) if isinstance(how.choice, FaceBox) else None
    tracker = Tracker(detector, mesh, video.color, lambda: PointStore(how.scratch), wanted)
    with torch.inference_mode():
        while batch := list(islice(frames, BATCH)):
            tracker.feed(batch)
            on_tick(Tick("track", tracker.frames, max(total, tracker.frames)))
        return _finished(tracker, wanted, video, how)


def _finished(
    tracker: Tracker, wanted: Tensor | None, video: VideoFacts, how: Tracking
) -> FaceTrack:
    followers = tracker.followers
    if not followers:
        counts = {"no_face": tracker.frames}
        raise no_face(tracker.frames, counts, how.limits, on_their_heads=tracker.on_their_heads)
    chosen = pick(followers, wanted)
    for other in followers:
        if other is not chosen:
            other.store.close()
    score = chosen.seen(tracker.frames)[:, 0]
    geometry = smooth.finish(chosen.store, score > 0, tracker.cuts, PointStore(how.scratch))
    chosen.store.close()
    shot = geometry.cut.cumsum(0)
    colors = chosen.colors_seen(tracker.frames)
    hidden = covered(colors, geometry.present, shot, geometry.opening) | cut_off(geometry, video)
    reasons = reasons_of(geometry, chosen.doubtful, hidden, how.limits)
    guess = guessed(chosen.glances.seen, geometry, reasons == 0)
    reasons = reasons_of(geometry, chosen.doubtful, hidden | guess.hidden, how.limits)
    usable = reasons == 0
    if not bool(usable.any()):
        counts = {name: int((reasons == n).sum()) for n, name in enumerate(REASONS) if name}
        raise no_face(tracker.frames, counts, how.limits, geometry)
    facts = _facts(geometry, usable, len(followers), wanted)
    facts["perhaps_covered"] = guess.doubted
    facts["rival"] = find_rival(chosen, followers, video) if wanted is None else None
    return FaceTrack(geometry, score, reasons, complexion(colors), facts)


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
