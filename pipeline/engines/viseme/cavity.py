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

TEETH_BELOW = 0.020
"""How far the upper teeth reach below the line of the closed lips."""
TOOTH_EDGES = (0.0, 0.088, 0.160, 0.232)
"""From the middle, where one tooth ends and the next begins."""
GAP = 0.006
SOFT = 0.008
"""Edges inside the mouth are a little out of focus, io."""
ENAMEL, DARK, TONGUE = 0.98, 0.14, 0.40
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
    level, _ = _levels(line, closed, io, parts[0], 1.0)
    luma = BLACK + (skin.luma - BLACK) * level
    level, teeth = _levels(line, closed, io, parts[1], 2.0)
    # Colour goes with brightness; what is no tooth is flesh.
    red_u, red_v = (skin.u - 128) * 0.7, (skin.v - 128) * 1.2 + 8
    pale_u, pale_v = (skin.u - 128) * 0.85, (skin.v - 128) * 0.80
    u = 128 + torch.lerp(red_u * (level / 0.45).clamp(0.3, 1), pale_u * level, teeth)
    v = 128 + torch.lerp(red_v * (level / 0.45).clamp(0.3, 1), pale_v * level, teeth)
    return Patch(luma.unsqueeze(1), torch.stack([u, v], dim=1))


def _levels(
    line: LipLine, closed: LipLine, io: Tensor, part: Parting, grain: float
) -> tuple[Tensor, Tensor]:
    """Brightness against the skin's, and how much each sample is tooth; each (B, h, w)."""
    size = io[:, None, None]
    across = part.along / size
    side = (part.along / line.half[:, None, None]).abs().clamp(max=1)
    below = part.off / size
    up = part.edge / size
    low = up + part.gap / size
    high, deep = closed.edges(part.along)
    at_rest = (high + deep) / 2 / size
    soft = torch.full_like(size, SOFT).maximum(0.6 * grain / size)
    teeth = _step((at_rest + TEETH_BELOW * (1 - 0.6 * side.square()) - below) / soft)
    teeth = teeth * _step((0.86 - side) / 0.05)
    # The upper lip throws its shadow on the teeth, the cheeks on those at the sides.
    shade = 0.60 + 0.40 * _step((below - up - 0.014) / 0.012)
    enamel = ENAMEL * (1 - 0.55 * side.square()) * _notches(across, soft) * shade
    height = low - at_rest
    tongue = _step((below - (low - 0.02 - 0.35 * height.clamp_min(0))) / (0.02 + soft))
    tongue = tongue * (1 - side.square())
    wide = (part.gap / size / 0.10).clamp(0, 1)
    back = DARK + (TONGUE - DARK) * tongue * wide
    level = torch.lerp(back, enamel * (0.75 + 0.25 * wide), teeth)
    return level * (0.62 + 0.38 * ((low - below) / 0.016).clamp(0, 1)), teeth


def _step(x: Tensor) -> Tensor:
    return torch.sigmoid(2.2 * x)


def _notches(across: Tensor, soft: Tensor) -> Tensor:
    """1 on teeth, a little less between them."""
    place = across.abs()
    away = place.clone()
    for edge in TOOTH_EDGES[1:]:  # they are far apart: only the nearest counts
        torch.minimum(away, (place - edge).abs_(), out=away)
    return 1 - 0.14 * torch.exp(-away.div_(GAP + 0.5 * soft).square_())
