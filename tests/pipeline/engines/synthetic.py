"""A synthetic reference and speech: planes, a face-like mesh, and tones. No media, no models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.engines.base import Reference
from pipeline.engines.neural.contour import FACE, LIPS, NOSE_OUTLINE
from pipeline.types import Color, Frame, VideoFacts

COLOR = Color(matrix=1, full_range=False, primaries=1, transfer=1)


def mesh(x: float, y: float, radius: float) -> Tensor:
    """(478, 3) points: an oval face, a nose and a mouth around (x, y)."""
    points = torch.zeros(478, 3)
    points[:, 0], points[:, 1] = x, y
    # Outlines start at the forehead, at the bridge of the nose, and at the mouth's left corner.
    for outline, cx, cy, rx, ry, turn in (
        (FACE, 0.0, 0.0, 0.75, 1.0, -90.0),
        (NOSE_OUTLINE, 0.0, 0.0, 0.2, 0.35, -90.0),
        (LIPS, 0.0, 0.5, 0.3, 0.12, 180.0),
    ):
        for n, index in enumerate(outline):
            angle = math.radians(turn + 360 * n / len(outline) * (-1 if outline is LIPS else 1))
            points[index, 0] = x + radius * (cx + rx * math.cos(angle))
            points[index, 1] = y + radius * (cy + ry * math.sin(angle))
    points[5, 1] = y + 0.15 * radius
    return points


@dataclass(frozen=True, slots=True)
class Track:
    """A face track as the neural engines read it."""

    meshes: Tensor
    usable: Tensor

    def points(self, start: int, stop: int) -> Tensor:
        return self.meshes[start:stop]

    def reason(self, index: int) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Speech:
    """Speech as the neural engines read it."""

    samples: Tensor
    """(n,) float32 at 16 kHz."""


def speech(seconds: float) -> Any:
    """Tones that come and go."""
    time = torch.arange(int(seconds * 16000)) / 16000
    return Speech(0.3 * torch.sin(2 * math.pi * 180 * time) * torch.sin(2 * math.pi * 2 * time))


def frame(index: int, height: int, width: int) -> Frame:
    """A textured picture that differs from its neighbours."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    luma = 120 + 60 * torch.sin((x + 3 * index) / 9.0) * torch.cos(y / 7.0)
    u, v = (torch.full((height // 2, width // 2), value, dtype=torch.uint8) for value in (118, 138))
    return Frame(luma.to(torch.uint8), u, v, index)


def reference(
    scratch: Path,
    frames: int = 6,
    height: int = 240,
    width: int = 320,
    faceless: Iterable[int] = (),
    fps: Fraction = Fraction(25),
    face: tuple[float, float, float] = (150, 115, 62),
) -> Reference:
    """A clip in which a face drifts to the right; some frames have none.

    Args:
        face: centre and radius (`mesh`) in the first frame, pixels.
    """
    x, y, radius = face
    usable = torch.ones(frames, dtype=torch.bool)
    usable[list(faceless)] = False
    points = torch.stack([mesh(x + 2 * n, y, radius) for n in range(frames)])

    def read(indices: Iterable[int]) -> Iterator[Frame]:
        return (frame(index, height, width) for index in indices)

    track: Any = Track(points, usable)
    video = VideoFacts(
        path=scratch / "reference.mp4",
        width=width,
        height=height,
        fps=fps,
        frames=frames,
        color=COLOR,
        codec="h264",
        rotation=0,
        variable_rate=False,
        still=frames == 1,
        has_audio=False,
    )
    return Reference(video, track, read, None, scratch, "cpu")
