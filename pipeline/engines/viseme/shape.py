"""Editing a mouth's shape: open, close, spread and round it, and let the chin follow.

Columns are the eleven points of a lip contour. Shares of a movement that each contour takes were
measured on people speaking; in between, points follow by their distance.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.points import (
    CHIN,
    FACE,
    INNER_LOWER,
    INNER_UPPER,
    LIPS,
    LOWER_RINGS,
    NOSE_BASE,
    OUTER_LOWER,
    OUTER_UPPER,
    PLACE,
    UPPER_RINGS,
    places,
)

UPPER_SHARE = 0.38
"""Of an opening, what the upper lip's inner contour moves; the lower lip's moves the rest."""
UPPER_FOLLOWS = (0.76, 0.84, 0.92, 1.0)
"""How much of that the upper lip's contours move, from the outer to the inner one."""
LOWER_FOLLOWS = (1.03, 1.02, 1.01, 1.0)
CORNER_RISE = 0.37
"""Corners rise by this share of a spread."""
JAW_PER_APERTURE = 0.30
"""The chin sinks by this share of an opening."""
ROUNDNESS = 0.7
"""Exponent of the profile (1 - x²) of a gap across the mouth."""


def _columns(ring: tuple[int, ...]) -> list[int]:
    return [PLACE[point] for point in ring]


_UPPER = [_columns(ring) for ring in UPPER_RINGS]
_LOWER = [_columns(ring) for ring in LOWER_RINGS]
_UP, _LOW = _columns(INNER_UPPER), _columns(INNER_LOWER)


@lru_cache(maxsize=1)
def _skin() -> list[int]:
    """Places that are neither lips nor skull."""
    fixed = {*places(LIPS), *places(NOSE_BASE), *places((33, 263))}
    return [place for place in range(len(FACE)) if place not in fixed]


def edit(shape: Tensor, aperture: Tensor, width: Tensor, drop: Tensor) -> Tensor:
    """A shape with another aperture and width.

    Args:
        shape: (B, K, 3) io.
        aperture: (B,) wanted aperture, io; 0 closes every gap.
        width: (B,) wanted width, io.
        drop: (B,) how much lower the chin is to lie, io.

    Returns:
        (B, K, 3) io.
    """
    now = measure(shape)
    left, right = shape[:, LEFT, :2], shape[:, RIGHT, :2]
    middle = (left + right) / 2
    half = ((right - left)[:, 0] / 2).clamp_min(0.05)
    across = (shape[..., 0] - middle[:, None, 0]) / half[:, None]
    move = torch.zeros_like(shape)
    growth = _gap_growth(shape, now.aperture, aperture, across)
    for ring, share in zip(_UPPER, UPPER_FOLLOWS, strict=True):
        move[:, ring, 1] = -UPPER_SHARE * share * growth
    for ring, share in zip(_LOWER, LOWER_FOLLOWS, strict=True):
        move[:, ring, 1] = (1 - UPPER_SHARE) * share * growth
    # Corners belong to both outer contours: an opening leaves them where they are.
    move[:, [LEFT, RIGHT], 1] = 0.0
    opened = growth[:, len(_UP) // 2]
    _skin_follows(move, shape, across, opened, drop)
    _spread(move, across, width - now.width)
    return shape + move


def _gap_growth(shape: Tensor, now: Tensor, wanted: Tensor, across: Tensor) -> Tensor:
    """(B, 11) how much each column's gap grows. Closing keeps the gaps' proportions."""
    gap = shape[:, _LOW, 1] - shape[:, _UP, 1]
    profile = (1 - across[:, _UP].square()).clamp_min(0).pow(ROUNDNESS)
    profile = profile / profile[:, 3:8].mean(1, keepdim=True).clamp_min(0.3)
    opening = gap.clamp_min(0) + (wanted - now)[:, None] * profile
    closing = gap.clamp_min(0) * (wanted / now.clamp_min(1e-4))[:, None]
    grown = torch.where((wanted > now)[:, None], opening, closing)
    return grown - gap


def _skin_follows(
    move: Tensor, shape: Tensor, across: Tensor, opened: Tensor, drop: Tensor
) -> None:
    """Skin between the lips and the nose, and between the lips and the chin, goes along."""
    skin = _skin()
    y = shape[:, skin, 1]
    near = (1 - across[:, skin].square() / 2.2).clamp_min(0)
    top = shape[:, _columns(OUTER_UPPER)[5], 1:2]
    nose = shape[:, places(NOSE_BASE), 1].mean(1, keepdim=True)
    bottom = shape[:, _columns(OUTER_LOWER)[5], 1:2]
    chin = shape[:, PLACE[CHIN], 1:2]
    corner = (shape[:, LEFT, 1:2] + shape[:, RIGHT, 1:2]) / 2
    above = 1 - ((top - y) / (top - nose).clamp_min(0.02)).clamp(0, 1)
    below = 1 - ((y - bottom) / (chin - bottom).clamp_min(0.05)).clamp(0, 1)
    share = torch.where(
        y < corner, -UPPER_SHARE * UPPER_FOLLOWS[0] * above, (1 - UPPER_SHARE) * below
    )
    outside = ((y - corner).abs() / 0.12).clamp(0, 1)  # beside the corners nothing opens
    sink = ((y - corner) / (chin - corner).clamp_min(0.05)).clamp(0, 1)
    move[:, skin, 1] = share * outside * near * opened[:, None] * (1 - sink) + sink * drop[:, None]


def _spread(move: Tensor, across: Tensor, wider: Tensor) -> None:
    reach = across.abs()
    inside = reach <= 1
    fade = (2 - reach).clamp(0, 1)
    side = torch.where(inside, across, across.sign() * fade)
    lips_and_skin = sorted({*places(LIPS), *_skin()})
    step = 0.5 * wider[:, None] * side
    rise = -CORNER_RISE * wider[:, None] * torch.where(inside, across.square(), fade)
    low = _chinness(across)
    move[:, lips_and_skin, 0] += (step * low)[:, lips_and_skin]
    move[:, lips_and_skin, 1] += (rise * low)[:, lips_and_skin]


def _chinness(across: Tensor) -> Tensor:
    """1 for points that a spread moves, less towards the chin and the jaw."""
    weight = torch.ones(across.shape[1], dtype=across.dtype, device=across.device)
    for place, point in enumerate(FACE):
        weight[place] = _SPREAD_SHARE.get(point, 1.0)
    return weight


_SPREAD_SHARE: dict[int, float] = {}


def _fill_spread_share() -> None:
    from pipeline.engines.viseme.points import BELOW, BESIDE, CHEEKS, JAW, PHILTRUM

    for point in PHILTRUM:
        _SPREAD_SHARE[point] = 0.3
    for point in BELOW:
        _SPREAD_SHARE[point] = 0.4
    for point in CHEEKS:
        _SPREAD_SHARE[point] = 0.5
    for point in BESIDE:
        _SPREAD_SHARE[point] = 0.8
    for point in JAW:
        _SPREAD_SHARE[point] = 0.0


_fill_spread_share()
