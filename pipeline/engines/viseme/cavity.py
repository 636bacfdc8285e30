"""A painted inside of the mouth, for references that never show theirs.

Upper teeth hang on the skull, the tongue lies on the jaw, and behind them it is dark. Sizes are in
io (a grown face has an io of about 90 mm, a central incisor is about 8.5 mm wide); colours follow
from the skin around the mouth, so that light and exposure fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.mask import bell
from pipeline.engines.viseme.parting import Lips, Parting
from pipeline.engines.viseme.patch import Patch

TEETH_BELOW = 0.020
"""How far the upper teeth reach below the line of the closed lips."""
TOOTH_EDGES = (0.0, 0.088, 0.160, 0.232)
"""From the middle, where one tooth ends and the next begins."""
SHORTER = (0.0, 0.005, 0.001, 0.004)
"""How much higher than the first each tooth ends, io."""
GAP = 0.006
ROUND, ROUNDED = 0.006, 0.014
"""How much higher a tooth ends at its sides than in its middle, and over what width, io."""
SOFT = 0.008
"""Edges inside the mouth are a little out of focus, io."""
ENAMEL, DARK, TONGUE = 0.98, 0.14, 0.40
"""Brightness against the skin's, of video levels above black."""
BLACK = 16.0
LIT, EVENS = 174.0, 0.25
"""Teeth are alike where skins are not: on darker skin than this (video levels above black) they are
brighter against it, by this power, as some of the darkness may be the light's."""
BRIGHTEST = 1.5
IVORY_U, IVORY_V = 0.65, 0.70
"""How much of the skin's tint teeth have, in the shade, too: with less they look grey there."""


@dataclass(frozen=True, slots=True)
class Skin:
    """Mean colour of the skin around a mouth; each (B, 1, 1)."""

    luma: Tensor
    u: Tensor
    v: Tensor


def paint(lips: Lips, closed: LipLine, io: Tensor, skin: Skin) -> Patch:
    """The inside of mouths, planes of the lip box.

    Args:
        closed: the same lips before they were opened, where the teeth are.
        io: (B,) pixels.
    """
    light = (LIT / (skin.luma - BLACK).clamp_min(1)).pow(EVENS).clamp(1, BRIGHTEST)
    level, _ = _levels(lips.line, closed, io, lips.luma, 1.0, light)
    luma = BLACK + (skin.luma - BLACK) * level
    level, teeth = _levels(lips.line, closed, io, lips.chroma, 2.0, light)
    # Colour goes with brightness; what is no tooth is flesh.
    red_u, red_v = (skin.u - 128) * 0.7, (skin.v - 128) * 1.2 + 8
    pale_u, pale_v = (skin.u - 128) * IVORY_U, (skin.v - 128) * IVORY_V
    flesh = (level / 0.45).clamp(0.3, 1)
    u = 128 + torch.lerp(red_u * flesh, pale_u, teeth)
    v = 128 + torch.lerp(red_v * flesh, pale_v, teeth)
    return Patch(luma.unsqueeze(1), torch.stack([u, v], dim=1))


def _levels(
    line: LipLine, closed: LipLine, io: Tensor, part: Parting, grain: float, light: Tensor
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
    away, shorter = _teeth(across)
    end = at_rest + TEETH_BELOW * (1 - 0.6 * side.square()) - shorter
    teeth = _step((end - ROUND * bell(away / ROUNDED) - below) / soft)
    teeth = teeth * _step((0.86 - side) / 0.05)
    # The upper lip throws its shadow on the teeth, the cheeks on those at the sides.
    shade = 0.60 + 0.40 * _step((below - up - 0.014) / 0.012)
    enamel = ENAMEL * (1 - 0.55 * side.square()) * shade
    enamel = light * enamel * (1 - 0.14 * bell(away / (GAP + 0.5 * soft)))
    height = low - at_rest
    tongue = _step((below - (low - 0.02 - 0.35 * height.clamp_min(0))) / (0.02 + soft))
    tongue = tongue * (1 - side.square())
    wide = (part.gap / size / 0.10).clamp(0, 1)
    back = DARK + (TONGUE - DARK) * tongue * wide
    level = torch.lerp(back, enamel * (0.75 + 0.25 * wide), teeth)
    return level * (0.62 + 0.38 * ((low - below) / 0.016).clamp(0, 1)), teeth


def _step(x: Tensor) -> Tensor:
    return torch.sigmoid(2.2 * x)


def _teeth(across: Tensor) -> tuple[Tensor, Tensor]:
    """How far the nearest gap between teeth is, and how much shorter than the first the tooth."""
    place = across.abs()
    away, shorter = place.clone(), torch.zeros_like(place)
    for edge, less in zip(TOOTH_EDGES[1:], SHORTER[1:], strict=True):
        torch.minimum(away, (place - edge).abs(), out=away)
        shorter.masked_fill_(place > edge, less)
    return away, shorter
