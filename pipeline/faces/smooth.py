"""From raw meshes to smooth ones, and what is measured on them. Works in chunks, on disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.faces import pose
from pipeline.faces.point_store import PointStore
from pipeline.faces.topology import EYE_CORNERS_OUTER, LIP_GAPS, STABLE
from pipeline.rows import RowFile

SIGMA = 0.8
"""Frames."""
REACH = 2
"""Frames on either side that take part; the next ones would weigh 0.1 %."""
FAR = 0.03
"""Distances of the eye corners by which a point that really moves differs from its neighbours in
time; jitter is a tenth of it. Quick motion is not smoothed, or lips would lag behind themselves."""
SIZE_JUMP = 0.06
"""Relative change of a face's size that no head makes in a frame."""
PLACE_JUMP = 1.2
"""Face sizes (about half the distance of the eye corners) that no head moves in a frame."""
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Geometry:
    """Smooth meshes of N frames and what follows from them. Frames without a face hold zeros."""

    store: RowFile
    """Rows without a face are NaN."""
    present: Tensor
    io: Tensor
    box: Tensor
    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    cut: Tensor
    opening: Tensor
    """(N,) mean of the five middle gaps between the lips, io."""
    mouth: Tensor
    """(N, 2) middle of those gaps, pixels; the mesh goes on beyond the picture's edge."""


def finish(raw: PointStore, present: Tensor, cuts: Sequence[int], out: PointStore) -> Geometry:
    """Smooth a track.

    Args:
        present: (N,) bool.
        cuts: first frames of shots.
    """
    frames = len(present)
    cut = _jumps(raw, present)
    cut[list(cuts)] = True
    began = cut.clone()
    began[1:] |= present[1:] != present[:-1]
    run = began.cumsum(0)
    found = torch.zeros(frames, 11)
    for start in range(0, frames, _CHUNK):
        stop = min(start + _CHUNK, frames)
        points = _smoothed(raw, run, start, stop)
        here = present[start:stop]
        points[~here] = math.nan
        out.write(start, points)
        found[start:stop][here] = _measured(points[here])
    io, box, (yaw, pitch, roll) = found[:, 0], found[:, 1:5], found[:, 5:8].unbind(1)
    return Geometry(out, present, io, box, yaw, pitch, roll, cut, found[:, 8], found[:, 9:])


def _jumps(raw: PointStore, present: Tensor) -> Tensor:
    """(N,) bool: the face is suddenly another one, or elsewhere.

    Its size is the spread of many points that hardly move on a face: the eye corners alone differ
    by 6 % when somebody blinks.
    """
    size, middle = torch.ones(len(present)), torch.zeros(len(present), 2)
    for start in range(0, len(present), _CHUNK):
        part = raw.read(start, min(start + _CHUNK, len(present)))[:, STABLE]
        here = slice(start, start + len(part))
        middle[here] = part[..., :2].mean(1)
        size[here] = (part - part.mean(1, keepdim=True)).square().sum(2).mean(1).sqrt()
    size = size.clamp(min=1e-3)
    jump = torch.zeros(len(present), dtype=torch.bool)
    grew = (size[1:] / size[:-1]).log().abs() > math.log(1 + SIZE_JUMP)
    moved = (middle[1:] - middle[:-1]).norm(dim=1) > PLACE_JUMP * size[:-1]
    jump[1:] = (grew | moved) & present[1:] & present[:-1]
    return jump


def _smoothed(raw: PointStore, run: Tensor, start: int, stop: int) -> Tensor:
    """Bilateral filter over the frames of one run: a Gaussian in time times one in place."""
    first, last = max(0, start - REACH), min(len(run), stop + REACH)
    points = raw.read(first, last)
    if len(points) < last - first:  # the face left before the clip's end
        missing = points.new_zeros(last - first - len(points), *points.shape[1:])
        points = torch.cat([points, missing])
    eyes = points[:, EYE_CORNERS_OUTER, :2]
    far = (eyes[:, 1] - eyes[:, 0]).norm(dim=1).clamp(min=1.0).view(-1, 1, 1) * FAR
    total, weights = torch.zeros_like(points), points.new_zeros(*points.shape[:2], 1)
    runs = run[first:last]
    for shift in range(-REACH, REACH + 1):
        other = points.roll(-shift, 0)
        same = runs == runs.roll(-shift)
        if shift > 0:
            same[-shift:] = False
        if shift < 0:
            same[:-shift] = False
        apart = ((other - points)[..., :2] / far).square().sum(2, keepdim=True)
        share = (-apart - shift**2 / (2 * SIGMA**2)).exp() * same.view(-1, 1, 1)
        total += share * other
        weights += share
    return (total / weights)[start - first : stop - first]


def _measured(points: Tensor) -> Tensor:
    """(n, 11): io, box, yaw, pitch, roll, opening, mouth."""
    flat = points[..., :2]
    left, right = EYE_CORNERS_OUTER
    io = (flat[:, right] - flat[:, left]).norm(dim=1)
    upper, lower = (flat[:, list(ring)] for ring in zip(*LIP_GAPS, strict=True))
    opening = (lower - upper).norm(dim=2).mean(1) / io.clamp(min=1)
    box = (*flat.amin(1).unbind(1), *flat.amax(1).unbind(1))
    mouth = ((upper + lower) / 2).mean(1).unbind(1)
    return torch.stack([io, *box, *pose.angles(points), opening, *mouth], 1)
