"""A still picture's head turns a little, and the picture around it stays.

A rounded head that turns by a small angle moves where it is nearest to the camera, and not at all
at its outline. So the picture is carried sideways and up in the middle of the face, by less towards
its oval, and not beyond: hair, neck and background keep their very pixels, nothing "breathes".
The motion is as slow as the slow head movements of people who speak (Hadar et al., "Kinematics of
head movements accompanying speech during conversation", Human Movement Science 2, 1983), and
follows from the frame's number alone, so that renders are repeatable.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.engines.viseme.canvas import NODES, Area, Box, carry
from pipeline.engines.viseme.patch import Patch, crispen, cut, paste
from pipeline.faces.topology import EYE_CORNERS_OUTER
from pipeline.types import Frame

REACH_X, REACH_Y = 0.024, 0.016
"""How far the middle of the face moves at most, io: a turn of about two degrees."""
SLOW, QUICK = (0.11, 0.17), (0.29, 0.41)
"""Cycles a second of the two motions, sideways and up."""
SHARE = 0.7
"""Of the slow motion."""
START_S = 1.0
"""Seconds in which it begins."""
OVAL = (10, 297, 284, 389, 454, 361, 397, 379, 400, 152, 176, 150, 172, 132, 234, 162, 54, 67)
"""Every other point of the outline of the face."""
SOFTENED = 1.3
"""Of `patch.DROOP`, for reading half-way between samples along one axis."""


def swing(seconds: float) -> tuple[float, float]:
    """Where the middle of the face is at a time: to the right and down, io."""
    begun = min(1.0, seconds / START_S)
    begun = begun * begun * (3 - 2 * begun)

    def of(slow: float, quick: float, phase: float) -> float:
        long = math.sin(2 * math.pi * slow * seconds + phase) - math.sin(phase)
        short = math.sin(2 * math.pi * quick * seconds + 2 * phase) - math.sin(2 * phase)
        return begun * (SHARE * long + (1 - SHARE) * short)

    across, down = of(SLOW[0], QUICK[0], 0.2), of(SLOW[1], QUICK[1], 0.5)
    return REACH_X * across, REACH_Y * down


def sway(frame: Frame, points: Tensor, moved: tuple[float, float], device: str) -> Frame:
    """A frame with the head turned.

    Args:
        points: (478, 2 or 3) mesh points in it.
        moved: how far the middle of the face goes, to the right and down, io.
    """
    flat = points[:, :2].float()
    left, right = EYE_CORNERS_OUTER
    span = flat[right] - flat[left]
    step = torch.tensor(moved) * span.norm()
    if float(step.abs().max()) < 0.05:
        return frame
    box, depth = _oval(flat, span)
    inner = Box(0, 0, box.width, box.height)
    area = Area.make(inner, inner, device)
    corner = torch.tensor([box.x, box.y], dtype=torch.float32)
    away = depth(area.nodes.cpu() + corner).to(device).unsqueeze(2) * step.to(device)
    field = (area.nodes - away)[None]
    piece = cut(frame, box.x, box.y, box.width, box.height)
    made = carry(piece.to(device).float(), area.luma, area.chroma, field, smooth=True)
    # What reading takes from detail is most half-way between two samples, along each axis.
    between = torch.sin(math.pi * area.luma.refine(away[None])).square().sum(3).unsqueeze(1)
    luma = torch.lerp(made.luma, crispen(made.luma), SOFTENED * between)
    shown = Patch(luma, made.chroma).samples()
    return paste(frame, shown.luma[0, 0], shown.chroma[0], box.x, box.y)


def _oval(flat: Tensor, span: Tensor) -> tuple[Box, Callable[[Tensor], Tensor]]:
    """The box around an ellipse on the face, and how near to the camera it is: 1 to 0."""
    axis = span / span.norm().clamp_min(1e-3)
    turn = torch.stack([axis, torch.stack([-axis[1], axis[0]])])
    outline = flat[list(OVAL)] @ turn.T
    low, high = outline.amin(0), outline.amax(0)
    middle, half = (low + high) / 2, (high - low) / 2

    def depth(where: Tensor) -> Tensor:
        square = ((where @ turn.T - middle) / half).square().sum(-1)
        return (1 - square).clamp_min(0).square()

    extent = ((half[:, None] * turn).square().sum(0)).sqrt()
    centre = middle @ turn
    corner = ((centre - extent) / 2).floor() * 2
    size = (extent / NODES * (NODES + 1)).ceil() * 2
    return Box(*(int(value) for value in (*corner, *size))), depth
