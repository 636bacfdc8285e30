"""A drawn face whose 478 points are known exactly: it turns, speaks, and vanishes as told.

The skull is a half ellipsoid, so that a turn moves points as a turning head does. What is drawn
follows the points: skin, lips, and, where the lips are apart, a row of teeth over a dark cavity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.engines.base import Reference
from pipeline.engines.viseme import points as mesh
from pipeline.engines.viseme.blink import EYES
from pipeline.faces import topology
from pipeline.faces.appearance import COMPLEXION
from pipeline.types import Color, Frame, VideoFacts

COLOR = Color(matrix=1, full_range=False, primaries=1, transfer=1)
IO = 100.0
SKIN, LIP, TEETH, CAVITY, BACKGROUND = (
    (170, 110, 150),
    (110, 115, 165),
    (205, 126, 130),
    (30, 126, 132),
    (90, 140, 118),
)
EYE = (225, 128, 128)
_MOUTH_Y, _NOSE_Y, _CHIN_Y, _HALF = 0.42, 0.15, 0.95, 0.28


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head is in one frame."""

    aperture: float = 0.0
    """io."""
    yaw: float = 0.0
    """Degrees."""
    x: float = 200.0
    y: float = 150.0
    """Between the eyes, pixels."""
    present: bool = True
    nose: float = 0.0
    """How far below its place the base of the nose is tracked, io."""


def head(pose: Pose) -> Tensor:
    """(478, 3) points."""
    flat = torch.zeros(478, 2)
    for n in range(478):  # every point that is not placed below lies on the forehead
        flat[n, 0] = 0.35 * math.sin(2.4 * n)
        flat[n, 1] = -0.45 + 0.12 * math.cos(1.7 * n)
    for left, eye in zip((-0.5, 0.2), EYES, strict=True):
        _place_eye(flat, left, eye)
    for n, point in enumerate(mesh.NOSE_BASE):
        across = (-0.08, -0.04, 0.0, 0.04, 0.08)[(2, 1, 3, 0, 4)[n]]
        flat[point] = torch.tensor([across, _NOSE_Y + pose.nose])
    for n, point in enumerate((*mesh.PHILTRUM, *mesh.CHEEKS)):
        side = -1 if n % 2 else 1
        flat[point] = torch.tensor([side * (0.1 + 0.02 * n), 0.22 + 0.004 * n])
    for n, point in enumerate(mesh.BESIDE):
        flat[point] = torch.tensor([(-1 if n % 2 == 0 else 1) * (0.33 + 0.01 * n), _MOUTH_Y + 0.02])
    for n, point in enumerate(mesh.BELOW):
        flat[point] = torch.tensor([(-1 if n % 2 else 1) * 0.012 * n, 0.62 + 0.01 * n])
    last = len(mesh.JAW) - 1
    for n, point in enumerate(mesh.JAW):
        along = math.pi * n / last
        flat[point] = torch.tensor(
            [-0.6 * math.cos(along), 0.35 + (_CHIN_Y - 0.35) * math.sin(along)]
        )
    for upper, lower, thick in zip(
        mesh.UPPER_RINGS, mesh.LOWER_RINGS, (0.06, 0.04, 0.02, 0.0), strict=True
    ):
        for n in range(11):
            place = (n - 5) / 5 * (0.93 + thick)
            arch = 1 - ((n - 5) / 5) ** 2
            gap = 1.25 * pose.aperture * arch
            flat[upper[n]] = torch.tensor([_HALF * place, _MOUTH_Y - thick * arch - 0.2 * gap])
            flat[lower[n]] = torch.tensor([_HALF * place, _MOUTH_Y + thick * arch + 0.8 * gap])
    flat[mesh.CHIN, 1] += 0.4 * pose.aperture
    depth = -0.6 * (1 - (flat[:, 0] / 0.75) ** 2 - 0.5 * (flat[:, 1] / 1.2) ** 2).clamp(0).sqrt()
    turn = math.radians(pose.yaw)
    x = flat[:, 0] * math.cos(turn) - depth * math.sin(turn)
    z = flat[:, 0] * math.sin(turn) + depth * math.cos(turn)
    return torch.stack([x * IO + pose.x, flat[:, 1] * IO + pose.y, z * IO], dim=1)


def _place_eye(flat: Tensor, left: float, eye: tuple[tuple[int, ...], ...]) -> None:
    upper, lower, crease, still = eye
    for group, lift in ((upper, -0.06), (lower, 0.04), (crease, -0.12)):
        for n, point in enumerate(group):
            share = n / (len(group) - 1)
            flat[point] = torch.tensor([left + 0.3 * share, lift * math.sin(math.pi * share)])
    for n, point in enumerate(still):
        flat[point] = torch.tensor([left + 0.07 * (n % 5), -0.25 if n < 5 else 0.15])


def draw(pose: Pose, index: int, height: int, width: int) -> Frame:
    """The picture of a head."""
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grain = 6 * torch.sin(xs / 3.0) * torch.cos(ys / 4.0)
    planes = [torch.full((height, width), float(value)) for value in BACKGROUND]
    if pose.present:
        points = head(pose)[:, :2]
        oval = ((xs - pose.x) / (0.62 * IO)) ** 2 + ((ys - pose.y - 0.2 * IO) / (0.8 * IO)) ** 2 < 1
        _fill(planes, oval, SKIN)
        for upper, lower, _, _ in EYES:
            _fill(planes, _between(points, upper, lower, xs, ys), EYE)
        inner = _between(points, topology.LIPS_INNER_UPPER, topology.LIPS_INNER_LOWER, xs, ys)
        _fill(
            planes,
            _between(points, topology.LIPS_OUTER_UPPER, topology.LIPS_OUTER_LOWER, xs, ys),
            LIP,
        )
        _fill(planes, inner, CAVITY)
        _fill(planes, inner & (ys < pose.y + (_MOUTH_Y + 0.02) * IO), TEETH)
    luma = (planes[0] + grain).round().clamp(0, 255).to(torch.uint8)
    u, v = (p[::2, ::2].round().to(torch.uint8) for p in planes[1:])
    return Frame(luma, u, v, index)


def _fill(planes: list[Tensor], where: Tensor, color: tuple[int, int, int]) -> None:
    for plane, value in zip(planes, color, strict=True):
        plane[where] = float(value)


def _between(
    points: Tensor, upper: tuple[int, ...], lower: tuple[int, ...], xs: Tensor, ys: Tensor
) -> Tensor:
    """Pixels between two contours that run from left to right."""
    column = torch.arange(xs.shape[1], dtype=torch.float32)
    edges = []
    for contour in (upper, lower):
        x, y = points[list(contour)].unbind(1)
        right = torch.searchsorted(x.contiguous(), column).clamp(1, len(contour) - 1)
        share = ((column - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
        edges.append(torch.lerp(y[right - 1], y[right], share))
    x = points[list(upper), 0]
    inside = (column > x.min()) & (column < x.max())
    return inside & (ys > edges[0]) & (ys < edges[1])


@dataclass(slots=True)
class Track:
    """What the engine reads of a face track, and how much it asked for at once."""

    poses: list[Pose]
    usable: Tensor = field(init=False)
    cut: Tensor = field(init=False)
    yaw: Tensor = field(init=False)
    complexion: Tensor = field(init=False)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.usable = torch.tensor([pose.present for pose in self.poses])
        self.cut = torch.zeros(len(self.poses), dtype=torch.bool)
        self.yaw = torch.tensor([pose.yaw for pose in self.poses])
        self.complexion = torch.zeros(len(self.poses), COMPLEXION, dtype=torch.float16)

    def points(self, start: int, stop: int) -> Tensor:
        """(stop - start, 478, 3)."""
        self.most_at_once = max(self.most_at_once, stop - start)
        found = [head(pose) for pose in self.poses[start:stop]]
        for pose, points in zip(self.poses[start:stop], found, strict=True):
            if not pose.present:
                points.fill_(math.nan)
        return torch.stack(found)

    def reason(self, index: int) -> str | None:
        """Why a frame is not usable."""
        if not 0 <= index < len(self.poses) or not self.poses[index].present:
            return "no_face"
        return None


def reference(
    poses: list[Pose],
    scratch: Path,
    height: int = 320,
    width: int = 400,
    fps: int = 25,
    cuts: Sequence[int] = (),
    complexion: Tensor | None = None,
) -> Reference:
    """A clip of such heads; shots begin at `cuts`, and all are one person without (N, D)."""
    track: Any = Track(poses)
    track.cut[list(cuts)] = True
    if complexion is not None:
        track.complexion = complexion

    def read(indices: Iterable[int]) -> Iterator[Frame]:
        return (draw(poses[n], n, height, width) for n in indices)

    video = VideoFacts(
        path=scratch / "puppet.mp4",
        width=width,
        height=height,
        fps=Fraction(fps),
        frames=len(poses),
        color=COLOR,
        codec="h264",
        rotation=0,
        variable_rate=False,
        still=len(poses) == 1,
        has_audio=False,
    )
    return Reference(video, track, read, None, scratch, "cpu")


def talking(frames: int = 60) -> list[Pose]:
    """Opens and closes the mouth, and nods sideways a little."""
    return [
        Pose(
            aperture=max(0.0, 0.09 + 0.1 * math.sin(n / 2.5)),
            yaw=5 * math.sin(n / 17),
            x=200 + 3 * math.sin(n / 11),
        )
        for n in range(frames)
    ]


def silent(frames: int = 20) -> list[Pose]:
    """A closed mouth that drifts."""
    return [Pose(x=200 + 0.3 * n) for n in range(frames)]
