"""A still picture blinks: the upper lids come down over the eyes, nothing else moves.

People blink every two to six seconds while they speak, for a fifth of a second, and close faster
than they open (Bentivoglio et al., "Analysis of blink rate patterns in normal subjects", Movement
Disorders 12(6), 1997). Times follow from the frame's number alone, so that renders are repeatable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.engines.viseme import spline
from pipeline.engines.viseme.canvas import NODES, Area, Box, carry
from pipeline.engines.viseme.lipline import LipLine, curve
from pipeline.engines.viseme.parting import part
from pipeline.engines.viseme.patch import cut, paste
from pipeline.faces.topology import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
)
from pipeline.types import Frame

FIRST_S, EVERY_S, SPREAD_S = 1.6, 3.6, 1.3
"""When the first blink is, how far apart they are, and by how much that varies."""
CLOSING_S, OPENING_S = 0.10, 0.18
SHUT = 0.97
"""How much of the opening between the lids a blink covers."""
CREASE = 0.45
"""How far the skin above the lid follows it."""
REACH_X, REACH_UP, REACH_DOWN = 0.75, 1.2, 0.7
"""Of the box around an eye beyond its corners and its middle, in widths of the eye."""

EYES = (
    (
        EYE_LEFT_UPPER,
        EYE_LEFT_LOWER,
        (247, 30, 29, 27, 28, 56, 190),
        (46, 53, 52, 65, 55, 110, 24, 23, 22, 26),
    ),
    (
        EYE_RIGHT_UPPER,
        EYE_RIGHT_LOWER,
        (414, 286, 258, 257, 259, 260, 467),
        (285, 295, 282, 283, 276, 256, 252, 253, 254, 339),
    ),
)
"""By eye, from the picture's left: upper lid, lower lid, crease, and skin that stays."""


def closure(seconds: float) -> float:
    """How far the lids are down at a time, 0 open to 1 shut."""
    nth = max(0, round((seconds - FIRST_S) / EVERY_S))
    away = seconds - (FIRST_S + nth * EVERY_S + SPREAD_S * math.sin(2.4 * nth * nth))
    share = 1 + away / CLOSING_S if away < 0 else 1 - away / OPENING_S
    return 0.0 if share <= 0 else share * share * (3 - 2 * share)


def blink(frame: Frame, points: Tensor, shut: float, device: str) -> Frame:
    """A frame with its lids lowered.

    Args:
        points: (478, 2 or 3) mesh points in it.
        shut: 0 leaves the frame as it is, 1 is a full blink.
    """
    if shut <= 0:
        return frame
    for eye in EYES:
        frame = _lower(frame, points[:, :2].float(), eye, shut * SHUT, device)
    return frame


def _lower(
    frame: Frame, points: Tensor, eye: tuple[tuple[int, ...], ...], shut: float, device: str
) -> Frame:
    upper, lower, crease, still = (points[list(group)] for group in eye)
    box = _box(upper)
    corner = torch.tensor([box.x, box.y], dtype=torch.float32)
    down = (lower - upper).clamp_min(0) * shut
    down[:, 0] = 0
    lid = upper + down
    fold = down[1:-1] * CREASE
    wanted = torch.cat([lid, crease + fold, still]) - corner
    source = torch.cat([upper, crease, still]) - corner
    inner = Box(0, 0, box.width, box.height)
    area = Area.make(inner, inner, device)
    field = _field(area, wanted.to(device), source.to(device))
    piece = cut(frame, box.x, box.y, box.width, box.height)
    own = piece.to(device).float()
    line = _line((lid - corner).to(device), (lower - corner).to(device))
    lid_luma = part(line, area.luma, 1.0).upper.unsqueeze(1)
    lid_chroma = part(line, area.chroma, 2.0).upper.unsqueeze(1)
    moved = carry(own, area.luma, area.chroma, field, smooth=True)
    made = own.mix(moved, lid_luma, lid_chroma).samples()
    return paste(frame, made.luma[0, 0], made.chroma[0], box.x, box.y)


def _box(lid: Tensor) -> Box:
    width = float((lid[-1] - lid[0]).norm())
    middle = lid.mean(0)
    x, y = float(middle[0]) - width * (0.5 + REACH_X), float(middle[1]) - width * REACH_UP
    size = (width * (1 + 2 * REACH_X), width * (REACH_UP + REACH_DOWN))
    return Box(*(round(value / 2) * 2 for value in (x, y, *size)))


def _line(upper: Tensor, lower: Tensor) -> LipLine:
    """The lids as a mouth: its line is where the upper lid's edge lies."""
    upper, lower = upper[None], lower[None]
    span = upper[:, -1] - upper[:, 0]
    length = span.norm(dim=1).clamp_min(1e-3)
    middle, axis = (upper[:, 0] + upper[:, -1]) / 2, span / length[:, None]
    up = curve(upper, middle, axis, length / 2)
    return LipLine(middle, axis, length / 2, up, up.maximum(curve(lower, middle, axis, length / 2)))


def _field(area: Area, wanted: Tensor, source: Tensor) -> Tensor:
    """(1, NODES, NODES, 2) places in the piece; the border stays."""
    size = area.box.width
    edge = area.nodes[::6]
    border = torch.cat([area.nodes[0, ::4], area.nodes[-1, ::4], edge[:, 0], edge[:, -1]])
    at = torch.cat([wanted, border])[None] / size
    move = torch.cat([source - wanted, torch.zeros_like(border)])[None]
    nodes = area.nodes.reshape(1, -1, 2)
    there = nodes + spline.evaluate(spline.fit(at, move), at, nodes / size)
    return there.reshape(1, NODES, NODES, 2)
