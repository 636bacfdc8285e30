"""Frames with and without faces, composed from the demo clip's portrait."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.faces.detector import Detector
from pipeline.faces.mesh import MeshNetwork
from pipeline.faces.roi import region_of_box, region_of_points
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Color, Frame, Limits, VideoFacts
from schemas.request import RenderOptions

DEMO = Path(__file__).parents[3] / "consumer" / "demo_assets" / "reference.mp4"
DARK, PALE = (2.1, 0.75, 0.8), (0.6, 1.0, 0.5)
"""Other skins: the power and the factor of luma, and the factor of colour."""
COLOR = Color(matrix=1, full_range=False, primaries=1, transfer=1)


def demo_frames(count: int) -> list[Frame]:
    """The first frames of the demo clip."""
    video = probe_video(DEMO, Limits(), RenderOptions())
    return list(FrameReader(video, 1).read(range(count)))


def demo_facts() -> VideoFacts:
    """The demo clip, probed."""
    return probe_video(DEMO, Limits(), RenderOptions())


def placed(frame: Frame, mesh: MeshNetwork, detector: Detector) -> Tensor:
    """(1, 478, 3) mesh points of the face that is found first in a frame of the demo's colours."""
    color = demo_facts().color
    found = detector.whole([frame], color)[0]
    box, eyes = found.boxes[0], found.eyes[0]
    region = region_of_box(*(torch.tensor([place]) for place in (box, *eyes)))
    for _ in range(3):
        points = mesh([frame], region, color).points
        region = region_of_points(points)
    return points


def facts(frames: list[Frame], color: Color = COLOR) -> VideoFacts:
    """Facts of a made-up clip."""
    return VideoFacts(
        path=DEMO,
        width=frames[0].width,
        height=frames[0].height,
        fps=Fraction(25),
        frames=len(frames),
        color=color,
        codec="h264",
        rotation=0,
        variable_rate=False,
        still=len(frames) == 1,
        has_audio=False,
    )


def blank(index: int, high: int = 480, wide: int = 640, luma: int = 110) -> Frame:
    """A grey picture with a slow gradient."""
    y = (luma + torch.linspace(-20, 20, wide)).expand(high, wide).to(torch.uint8).contiguous()
    chroma = torch.full((high // 2, wide // 2), 128, dtype=torch.uint8)
    return Frame(y, chroma, chroma.clone(), index)


def resized(frame: Frame, high: int, wide: int) -> Frame:
    """The same picture at another size; both even."""

    def scaled(plane: Tensor, rows: int, columns: int) -> Tensor:
        picture = plane[None, None].float()
        out = F.interpolate(picture, (rows, columns), mode="bilinear", antialias=True)
        return out[0, 0].round().clamp(0, 255).to(torch.uint8)

    half = (high // 2, wide // 2)
    return Frame(
        scaled(frame.y, high, wide), scaled(frame.u, *half), scaled(frame.v, *half), frame.index
    )


def paste(into: Frame, picture: Frame, x: int, y: int) -> Frame:
    """A copy of a frame with a picture in it; x and y are even."""
    planes: dict[str, Any] = {}
    for name, step in (("y", 1), ("u", 2), ("v", 2)):
        plane, part = getattr(into, name).clone(), getattr(picture, name)
        plane[y // step : y // step + part.shape[0], x // step : x // step + part.shape[1]] = part
        planes[name] = plane
    return replace(into, **planes)


def mirrored(frame: Frame) -> Frame:
    """Left and right exchanged."""
    return Frame(frame.y.flip(1), frame.u.flip(1), frame.v.flip(1), frame.index)


def covered(frame: Frame, x0: int, y0: int, x1: int, y1: int) -> Frame:
    """A grey board in front of a part of the picture."""
    return paste(frame, blank(0, y1 - y0, x1 - x0), x0, y0)


def renumbered(frames: list[Frame]) -> list[Frame]:
    """Indices from 0."""
    return [replace(frame, index=n) for n, frame in enumerate(frames)]
