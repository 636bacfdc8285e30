"""Editing a mouth's shape: open, close, spread and round it, and let the chin follow.

A column is one of the eleven points of a lip contour, from corner to corner. How far each contour
moves per unit of aperture is a round figure of what speaking people do: the lower lip does almost
all of the work, the corners sink a little, the upper lip hardly rises.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.points import (
    BELOW,
    BESIDE,
    CHEEKS,
    CHIN,
    FACE,
    JAW,
    LIPS,
    LOWER_RINGS,
    NOSE_BASE,
    PHILTRUM,
    PLACE,
    UPPER_RINGS,
    places,
)
from pipeline.faces.topology import LIPS_OUTER_LOWER

CORNER = 0.29
"""How far the corners sink per unit of aperture."""
UPPER_OUTER = (CORNER, 0.15, 0.05, -0.01, -0.05, -0.08)
UPPER_INNER = (CORNER, 0.12, 0.00, -0.10, -0.16, -0.18)
LOWER_OUTER = (CORNER, 0.46, 0.61, 0.74, 0.84, 0.87)
LOWER_INNER = (CORNER, 0.52, 0.67, 0.80, 0.89, 0.92)
"""From a corner to the middle column; the other side is the mirror image."""
CLOSING_UPPER = 0.2
"""Share of the upper lip in what a column's gap must change beyond that."""
CHIN_PER_APERTURE = 0.45
"""How far the chin sinks per unit of aperture."""
CORNER_RISE, MIDDLE_RISE = 0.34, 0.20
"""How far corners and the middle rise per unit of width."""
RELAX = 2.0
"""Of what a smile's corners lie above the middle of its upper lip they sink by this much of the
share of its width that it loses: no mouth is drawn together and smiles as before."""
PUCKER = 0.6
"""By how much more of their height lips stand out, for each share of its width that a mouth loses:
lips that are drawn together get thicker."""


def _columns(ring: tuple[int, ...]) -> list[int]:
    return [PLACE[point] for point in ring]


_UPPER = [_columns(ring) for ring in UPPER_RINGS]
_LOWER = [_columns(ring) for ring in LOWER_RINGS]
_UP, _LOW = _UPPER[-1], _LOWER[-1]
_RINGS = len(_UPPER)
_NOSE = places(NOSE_BASE)
_FIXED = {*_NOSE, *places((33, 263))}
_SKIN = [place for place in range(len(FACE)) if place not in {*_FIXED, *places(LIPS)}]
_SPREAD = {
    **dict.fromkeys(BELOW, 0.4),
    **dict.fromkeys(CHEEKS, 0.5),
    **dict.fromkeys(BESIDE, 0.8),
    **dict.fromkeys(PHILTRUM, 0.3),
    **dict.fromkeys((*JAW, *NOSE_BASE, 33, 263), 0.0),
}
"""How much of a spread the skin takes part in; lips take all of it."""


def edit(
    shape: Tensor, aperture: Tensor, width: Tensor, drop: Tensor, *, purse: bool = False
) -> Tensor:
    """A shape with another aperture and width.

    Args:
        shape: (B, K, 3) io.
        aperture: (B,) wanted aperture, io; 0 closes every gap.
        width: (B,) wanted width, io.
        drop: (B,) how much lower the chin is to lie, io.
        purse: what a mouth loses in width makes its lips thicker and its smile less. Lent mouths
            have that already, as far as they are narrow, and shake by what is added.

    Returns:
        (B, K, 3) io.
    """
    now = measure(shape)
    left, right = shape[:, LEFT, :2], shape[:, RIGHT, :2]
    middle = (left + right) / 2
    half = ((right - left)[:, 0] / 2).clamp_min(0.05)
    across = (shape[..., 0] - middle[:, None, 0]) / half[:, None]
    move = torch.zeros_like(shape)
    _open(move, shape, now.aperture, aperture)
    _skin_follows(move, shape, across, aperture - now.aperture, drop)
    wider = width - now.width
    lost = (-wider / now.width.clamp_min(0.1)).clamp_min(0) * purse
    _spread(move, across, wider, RELAX * lost * smile(shape))
    if purse:
        _pucker(move, shape, across, PUCKER * lost)
    return shape + move


def below_nose(shape: Tensor) -> Tensor:
    """How much of a face's own points speech moves.

    Nothing at the base of the nose, where what is measured from frame to frame is noise; all of it
    from the corners of the mouth down.

    Args:
        shape: (B, K, 3) io.

    Returns:
        (B, K, 1) 0 to 1.
    """
    y = shape[..., 1:2]
    nose = y[:, _NOSE].mean(1, keepdim=True)
    corner = (y[:, LEFT : LEFT + 1] + y[:, RIGHT : RIGHT + 1]) / 2
    return ((y - nose) / (corner - nose).clamp_min(0.05)).clamp(0, 1)


def _open(move: Tensor, shape: Tensor, now: Tensor, wanted: Tensor) -> None:
    """Move the lips. Closing keeps the proportions of the gaps, so that all close at once."""
    more = (wanted - now)[:, None]
    up, low = _tables(shape.device)
    gap = shape[:, _LOW, 1] - shape[:, _UP, 1]
    opened = gap.clamp_min(0) + more * (low[-1] - up[-1])
    closed = gap.clamp_min(0) * (wanted / now.clamp_min(1e-4))[:, None]
    target = torch.where(more > 0, opened, closed).clamp_min(0)
    rest = target - (gap + more * (low[-1] - up[-1]))
    for ring, share in zip(_UPPER, up, strict=True):
        move[:, ring, 1] = more * share - CLOSING_UPPER * rest
    for ring, share in zip(_LOWER, low, strict=True):
        move[:, ring, 1] = more * share + (1 - CLOSING_UPPER) * rest
    move[:, [LEFT, RIGHT], 1] = CORNER * more


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """(rings, 11) movement per aperture of the upper and of the lower contours, outer first."""

    def rings(outer: tuple[float, ...], inner: tuple[float, ...]) -> Tensor:
        ends = torch.tensor([[*side, *side[-2::-1]] for side in (outer, inner)])
        share = torch.linspace(0, 1, _RINGS).unsqueeze(1)
        # Made on the host: what one job's stream still makes, another's would read too early.
        return torch.lerp(ends[0], ends[1], share).to(device)

    return rings(UPPER_OUTER, UPPER_INNER), rings(LOWER_OUTER, LOWER_INNER)


def _skin_follows(move: Tensor, shape: Tensor, across: Tensor, more: Tensor, drop: Tensor) -> None:
    """Skin hangs between the corners and lips, which opened by `more`, the nose, and the chin."""
    y, x = shape[:, _SKIN, 1], across[:, _SKIN]
    corner = (shape[:, LEFT, 1:2] + shape[:, RIGHT, 1:2]) / 2
    chin = shape[:, PLACE[CHIN], 1:2]
    lip = shape[:, _columns(LIPS_OUTER_LOWER)[5], 1:2]
    inside = x.square().clamp(max=1)
    beside = (2 - x.abs()).clamp(0, 1)
    lip_share = torch.lerp(torch.full_like(x, LOWER_OUTER[-1]), torch.full_like(x, CORNER), inside)
    lip_edge = torch.lerp(lip.expand_as(x), corner.expand_as(x), inside)
    down = ((y - lip_edge) / (chin - lip_edge).clamp_min(0.05)).clamp(0, 1)
    sink = ((y - corner) / (chin - corner).clamp_min(0.05)).clamp(0, 1)
    below = torch.lerp(lip_share * beside * more[:, None], sink * drop[:, None], down)
    away = (1 - (corner - y) / 0.2).clamp(0, 1)
    above = CORNER * inside * beside * away * more[:, None]
    move[:, _SKIN, 1] = torch.where(y > corner, below, above)


def _spread(move: Tensor, across: Tensor, wider: Tensor, sink: Tensor) -> None:
    """Move corners and what hangs on them apart, and the corners down by `sink`."""
    side = torch.where(across.abs() <= 1, across, across.sign() * (2 - across.abs()).clamp(0, 1))
    share = _spread_shares(across.device)
    rise = MIDDLE_RISE + (CORNER_RISE - MIDDLE_RISE) * side.square()
    fade = (2 - across.abs()).clamp(0, 1)
    move[..., 0] += 0.5 * wider[:, None] * side * share
    move[..., 1] += (sink[:, None] * side.square() - rise * wider[:, None]) * fade * share


def smile(shape: Tensor) -> Tensor:
    """(B,) how far the corners lie above the middle of the upper lip's edge, io; 0 in no smile."""
    corner = (shape[:, LEFT, 1] + shape[:, RIGHT, 1]) / 2
    return (shape[:, _UP[5], 1] - corner).clamp_min(0)


def _pucker(move: Tensor, shape: Tensor, across: Tensor, share: Tensor) -> None:
    """Let the lips stand out by a share (B,) of their height, and the skin around give way."""
    for rings in (_UPPER, _LOWER):
        edge = shape[:, rings[-1], 1]
        for ring in rings[:-1]:
            more = share[:, None] * (shape[:, ring, 1] - edge)
            move[:, ring[1:-1], 1] += more[:, 1:-1]
    y, x = shape[:, _SKIN, 1], across[:, _SKIN]
    beside = (1 - x.square()).clamp_min(0)
    ends = ((_UPPER, shape[:, _NOSE, 1].mean(1)), (_LOWER, shape[:, PLACE[CHIN], 1]))
    for rings, end in ends:
        lip = shape[:, rings[0][5], 1]
        more = share * (lip - shape[:, rings[-1][5], 1])
        far = (y - lip[:, None]) / (end - lip)[:, None]
        near = (1 - far).clamp(0, 1) * (far > 0)
        move[:, _SKIN, 1] += more[:, None] * near * beside


@lru_cache(maxsize=4)
def _spread_shares(device: torch.device) -> Tensor:
    return torch.tensor([_SPREAD.get(point, 1.0) for point in FACE], device=device)
