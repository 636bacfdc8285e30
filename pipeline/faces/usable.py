"""Which frames show a face that can be painted on, and why the others do not."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from pipeline.errors import NoFace
from pipeline.faces.smooth import Geometry
from pipeline.faces.tracker import EVERY
from pipeline.runs import true_runs
from pipeline.types import Limits, VideoFacts
from schemas.codes import Stage
from schemas.render import SpanKind

FADE_YAW, MAX_YAW = 35.0, 40.0
"""Degrees: from the first on an engine fades to the source, beyond the second there is no face."""
COVERED_FRAMES = 25
"""A gap of at most this many frames inside a shot is a face that was covered for a moment."""

REASONS: tuple[SpanKind | None, ...] = (None, *get_args(SpanKind))
"""By the number that a track keeps of each frame; of a usable one 0."""


def reasons_of(geometry: Geometry, doubtful: list[int], hidden: Tensor, limits: Limits) -> Tensor:
    """Why frames show no usable face.

    Args:
        doubtful: frames in which the detector saw no face where the mesh was.
        hidden: (N,) bool, the mouth is covered or outside the picture.
        limits: its `min_face_px` is the smallest usable face.

    Returns:
        (N,) uint8 places in `REASONS`.
    """
    reasons = torch.zeros(len(geometry.present), dtype=torch.uint8)
    for index in doubtful:  # a look stands for the frames around it up to the neighbouring looks
        reasons[max(0, index - EVERY + 1) : index + EVERY] = REASONS.index("occluded")
    reasons[hidden] = REASONS.index("occluded")
    side = (geometry.box[:, 2:] - geometry.box[:, :2]).amax(1)
    reasons[geometry.yaw.abs() > MAX_YAW] = REASONS.index("profile")
    reasons[side < limits.min_face_px] = REASONS.index("small_face")
    for start, stop in true_runs(~geometry.present):
        reasons[start:stop] = REASONS.index(_why_gone(geometry, start, stop))
    return reasons


def cut_off(geometry: Geometry, video: VideoFacts) -> Tensor:
    """(N,) bool: the picture ends before the mouth, of which nobody saw what it does."""
    x, y = geometry.mouth.unbind(1)
    inside = (x >= 0) & (x <= video.width - 1) & (y >= 0) & (y <= video.height - 1)
    return ~inside & geometry.present


def _why_gone(geometry: Geometry, start: int, stop: int) -> SpanKind:
    sides = [n for n in (start - 1, stop) if 0 <= n < len(geometry.present)]
    if any(abs(float(geometry.yaw[n])) > FADE_YAW - 10 for n in sides):
        return "profile"
    within = len(sides) == 2 and not bool(geometry.cut[start : stop + 1].any())
    return "occluded" if within and stop - start <= COVERED_FRAMES else "no_face"


def no_face(
    frames: int,
    counts: dict[str, int],
    limits: Limits,
    geometry: Geometry | None = None,
    on_their_heads: int = 0,
) -> NoFace:
    """The error for a clip without a usable face.

    Args:
        counts: how many of them have which reason.
        on_their_heads: looks at faces that were upside down.
    """
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
