"""A painted inside of the mouth, for references that never show theirs.

Upper teeth hang on the skull, the tongue lies on the jaw, and behind them it is dark. Sizes are in
io (a grown face has an io of about 90 mm, a central incisor is about 8.5 mm wide); colours follow
from the skin around the mouth, so that light and exposure fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.layer import Parting
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import Patch

TEETH_BELOW = 0.030
"""How far the upper teeth reach below the line of the closed lips."""
TOOTH_EDGES = (0.0, 0.088, 0.160, 0.232)
"""From the middle, where one tooth ends and the next begins."""
GAP = 0.006
ENAMEL, DARK, TONGUE = 0.86, 0.13, 0.42
"""Brightness against the skin's, of video levels above black."""
BLACK = 16.0


@dataclass(frozen=True, slots=True)
class Skin:
    """Mean colour of the skin around a mouth; each (B, 1, 1)."""

    luma: Tensor
    u: Tensor
    v: Tensor


def paint(
    line: LipLine, closed: LipLine, io: Tensor, skin: Skin, parts: tuple[Parting, Parting]
) -> Patch:
    """The inside of mouths, planes of the lip box.

    Args:
        line: the wanted lips.
        closed: the same lips before they were opened, where the teeth are.
        io: (B,) pixels.
        skin: colours.
        parts: the lip box, for luma and for chroma.
    """
    luma, _, _ = _colors(line, closed, io, skin, parts[0], 1.0)
    _, u, v = _colors(line, closed, io, skin, parts[1], 2.0)
    return Patch(luma.unsqueeze(1), torch.stack([u, v], dim=1))


def _colors(
    line: LipLine, closed: LipLine, io: Tensor, skin: Skin, part: Parting, grain: float
) -> tuple[Tensor, Tensor, Tensor]:
    size = io[:, None, None]
    across = part.along / size
    side = (part.along / line.half[:, None, None]).abs().clamp(max=1)
    below = part.off / size
    up = (part.off - part.depth * part.gap) / size
    low = up + part.gap / size
    at_rest = sum(closed.edges(part.along)) / 2 / size
    soft = torch.full_like(size, 0.010).maximum(0.6 * grain / size)
    bright = skin.luma - BLACK
    teeth = _step((at_rest + TEETH_BELOW * (1 - 0.45 * side.square()) - below) / soft)
    enamel = ENAMEL * (1 - 0.62 * side.square()) * _notches(across, soft)
    # The upper lip throws its shadow on the teeth; less so the more it is raised.
    shade = 0.52 + 0.48 * _step((below - up - 0.016) / 0.02)
    open_wide = ((low - up) / 0.10).clamp(0, 1)
    tongue_top = low - 0.030 - 0.30 * (low - at_rest).clamp_min(0)
    tongue = _step((below - tongue_top) / (0.022 + soft)) * (1 - side.square()) * 0.9
    deep = DARK + (TONGUE - DARK) * tongue * (0.55 + 0.45 * open_wide)
    level = torch.lerp(deep, enamel * shade * (0.72 + 0.28 * open_wide), teeth)
    rim = 0.6 + 0.4 * ((low - below) / 0.02).clamp(0, 1)
    luma = BLACK + bright * level * rim
    red_u = (skin.u - 128) * 0.8
    red_v = (skin.v - 128) * 1.15 + 5
    pale_u, pale_v = (skin.u - 128) * 0.45, (skin.v - 128) * 0.35
    weak = (level / 0.5).clamp(0.35, 1)
    u = 128 + torch.lerp(red_u * weak, pale_u, teeth)
    v = 128 + torch.lerp(red_v * weak, pale_v, teeth)
    return luma, u, v


def _step(x: Tensor) -> Tensor:
    return torch.sigmoid(2.2 * x)


def _notches(across: Tensor, soft: Tensor) -> Tensor:
    """1 on teeth, a little less between them."""
    dark = torch.zeros_like(across)
    for edge in TOOTH_EDGES:
        dark = dark + torch.exp(-(((across.abs() - edge) / (GAP + 0.5 * soft)) ** 2))
    return 1 - 0.22 * dark.clamp(max=1)
