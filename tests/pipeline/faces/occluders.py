"""A hand, a telephone, a microphone and a mask, drawn into frames of real faces."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.types import Frame

CHEEKS = (50, 280, 205, 425)
Shape = Callable[["Place"], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is drawn: coordinates in io from its middle, and the colour of skin."""

    x: Tensor
    """(H, W)."""
    y: Tensor
    skin: tuple[float, float, float]


def before(frame: Frame, shape: Shape, points: Tensor, away: float = 0.0) -> Frame:
    """A frame with something before the mouth, or so many io beside and below it.

    Args:
        frame: the frame.
        shape: what is drawn.
        points: (478, 2 or 3) mesh points in the frame.
        away: 0 on the mouth.
    """
    io = float((points[33, :2] - points[263, :2]).norm())
    x, y = ((points[13, :2] + points[14, :2]) / 2).tolist()
    rows, columns = (torch.arange(size, dtype=torch.float32) for size in frame.y.shape)
    place = Place(
        ((columns - x) / io - 0.55 * away).expand(len(rows), -1),
        ((rows - y) / io - away).unsqueeze(1).expand(-1, len(columns)),
        _skin(frame, points),
    )
    planes, inside = shape(place)
    alpha = (0.5 + inside * io / 3).clamp(0, 1)
    luma = torch.lerp(frame.y.float(), planes[0], alpha)
    u, v = (
        torch.lerp(plane.float(), new[::2, ::2], alpha[::2, ::2])
        for plane, new in zip((frame.u, frame.v), planes[1:], strict=True)
    )
    luma, u, v = (plane.round().clamp(0, 255).to(torch.uint8) for plane in (luma, u, v))
    return replace(frame, y=luma, u=u, v=v)


def hand(place: Place) -> tuple[Tensor, Tensor]:
    """Four fingers and a palm of the very colour of the face."""
    depth = _rod(place, (0.55, 0.45), (0.8, 1.8), 0.42)
    light = (depth / 0.42).clamp(0, 1)
    for n, (angle, length) in enumerate(((-2.95, 0.85), (-2.72, 1.0), (-2.48, 0.95), (-2.2, 0.75))):
        root = (0.5 + 0.02 * n, 0.17 * (1.5 - n))
        tip = (root[0] + length * math.cos(angle), root[1] + 0.5 * length * math.sin(angle))
        finger = _rod(place, root, tip, 0.115)
        light = torch.where(finger > 0, finger / 0.115, light)
        depth = torch.maximum(depth, finger)
    luma, u, v = place.skin
    shade = luma * (0.62 + 0.36 * light.clamp_min(0).sqrt())
    return _colored(shade, u, v), depth


def telephone(place: Place) -> tuple[Tensor, Tensor]:
    """A dark slab that leans."""
    along = place.x * math.cos(0.2) + place.y * math.sin(0.2)
    down = place.y * math.cos(0.2) - place.x * math.sin(0.2)
    depth = torch.minimum(0.42 - along.abs(), 0.85 - (down - 0.25).abs())
    return _colored(35 + 20.0 * (along.abs() > 0.38), 129, 127), depth


def microphone(place: Place) -> tuple[Tensor, Tensor]:
    """A ball of wire on a stick."""
    ball = 0.28 - (place.x.square() + place.y.square()).sqrt()
    stick = _rod(place, (0, 0.2), (0.5, 2), 0.13)
    wire = torch.sin(place.x * 125).sign() * torch.sin(place.y * 125).sign()
    luma = torch.where(ball > 0, 70 + 200 * ball + 12 * wire, torch.full_like(ball, 45))
    return _colored(luma, 128, 128), torch.maximum(ball, stick)


def mask(place: Place) -> tuple[Tensor, Tensor]:
    """Pale folds from the nose to the chin."""
    round_ = 1 - ((place.x / 0.72).square() + ((place.y + 0.05) / 0.62).square()).sqrt()
    return _colored(170 + 18 * torch.sin(22 * place.y), 140, 118), 0.6 * round_


def _rod(place: Place, a: tuple[float, float], b: tuple[float, float], radius: float) -> Tensor:
    """Distance to the edge of a rod with round ends, positive inside."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    x, y = place.x - a[0], place.y - a[1]
    share = ((x * dx + y * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    return radius - ((x - share * dx).square() + (y - share * dy).square()).sqrt()


def _colored(luma: Tensor, u: float, v: float) -> Tensor:
    return torch.stack([luma, torch.full_like(luma, u), torch.full_like(luma, v)])


def _skin(frame: Frame, points: Tensor) -> tuple[float, float, float]:
    found = []
    for point in CHEEKS:
        x, y = (int(v) for v in points[point, :2])
        luma = float(frame.y[y - 2 : y + 3, x - 2 : x + 3].float().mean())
        found.append((luma, float(frame.u[y // 2, x // 2]), float(frame.v[y // 2, x // 2])))
    luma, u, v = (sum(values) / len(values) for values in zip(*found, strict=True))
    return luma, u, v
