"""A hand, a cup or a microphone before the mouth: frames in which the lower face is not itself.

The mesh network sees a mouth behind a hand, and is sure of it. Colours give the hand away:
those of `pipeline.faces.appearance` follow a handful of components while a face turns, speaks and
laughs (as in Turk, Pentland: "Eigenfaces for Recognition", J. Cognitive Neuroscience 3(1), 1991),
and something before it is not among them. The components of each shot are learnt from the frames
that look most alike, by weights that let go of points which do not fit (Black, Jepson:
"EigenTracking", IJCV 26(1), 1998), so that neither the fit nor the components bend to the stranger.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.faces.appearance import LIPS, luma_and_tints
from pipeline.runs import true_runs

LEAST = 24
"""Frames of a shot from which one can say what is usual in it."""
MOST = 512
"""Frames that the components are learnt from."""
COMPONENTS, FRAMES_EACH = 6, 8
"""Components at most, and how many frames each needs."""
ROUNDS, REWEIGHTED = 4, 4
KEEP = 0.5
"""Share of the frames that are taken for usual at first."""
TIMES = 3.0
"""A frame that is so many times further off than half of the usual ones is not usual."""
FLOOR = (4.0, 2.0, 2.0)
"""Spread of luma and of the colour differences that every face has, of 255."""
STRANGE = (18.0, 8.0, 8.0)
"""Differences that no skin makes, of 255."""
GAPING = 0.2
"""Opening of the lips, io, from which brightness alone shows no stranger: speech opens no wider,
and what shouts or laughs stretches lips and chin into another light, but keeps their colour. Behind
a hand the mesh sees a mouth that is shut, or open as in speech."""
SIGNIFICANT = 12.0
"""Sum of squares of differences in units of the usual ones from which a point counts."""
MUCH, SOME = 0.20, 0.10
"""Share of strange points at which the face is covered, and down to which it stays so."""
BESIDE, ROLLED = 0.05, 12
"""Share of strange points on the skin below which it is the lips themselves that are strange, and
for how many frames at most: for a closure they may be rolled in, until skin is where they were."""
REDDER, CLEARLY = 2.5, 12.0
"""Colour differences of 255 by which the fewer frames show the face where the more show a stranger:
so much redder lips, or so much more like a face in all."""
LEAST_RUN = 2
"""Frames; nothing is held before a face for less."""
_CHUNK = 512


def covered(colors: Tensor, present: Tensor, shot: Tensor, opening: Tensor) -> Tensor:
    """Which frames show something before the mouth.

    Args:
        colors: (N, ROW, 3) uint8 from `appearance.sample`.
        present: (N,) bool, whether a face was seen.
        shot: (N,) int64, the same number throughout a shot.
        opening: (N,) of the lips as the mesh sees them, io; anything where no face is.

    Returns:
        (N,) bool. All False in shots too short to know what is usual in them.
    """
    found = torch.zeros(len(present), dtype=torch.bool)
    for number in torch.unique(shot[present]).tolist():
        rows = torch.nonzero(present & (shot == number)).flatten()
        if len(rows) >= LEAST:
            found[rows] = _held(*_strangers(colors[rows], opening[rows] > GAPING).T)
    return found


def _strangers(colors: Tensor, gaping: Tensor) -> Tensor:
    """(n, 2) share of strange points in each frame of a shot: of all, and of the skin's."""
    rows = torch.linspace(0, len(colors) - 1, min(len(colors), MOST)).round().long()
    prints = _prints(colors[rows])
    usual, good = _learn(prints)
    share = usual.strangers(prints, gaping[rows])[:, 0]
    if int((share >= MUCH).sum()) >= LEAST:  # what is usual may itself be the stranger
        unlike = prints[share >= SOME]
        other, others = _learn(unlike)
        if _more_face_like(unlike[others], prints[good]):
            usual = other
    parts = zip(torch.split(colors, _CHUNK), torch.split(gaping, _CHUNK), strict=True)
    return torch.cat([usual.strangers(_prints(part), wide) for part, wide in parts])


def _prints(colors: Tensor) -> Tensor:
    """(n, ROW, 3) colours to (n, K, 3) luma and colour differences as in an even light."""
    seen = luma_and_tints(colors)
    light = seen[:, -1:]
    level = (light[..., :1] / 140).clamp(0.2, 2)
    prints = seen[:, :-1] / level
    prints[..., 1:] -= light[..., 1:] / level
    return prints


@dataclass(frozen=True, slots=True)
class _Usual:
    """How the lower face of one shot looks; P = 3 K values of a print."""

    middle: Tensor
    """(P,)."""
    spread: Tensor
    """(P,) by which values are made comparable."""
    mean: Tensor
    """(P,) of comparable values."""
    basis: Tensor
    """(R, P)."""
    most: Tensor
    """(R,) how much of each component there is at most."""
    scale: Tensor
    """(P,) of what the components leave."""

    def strangers(self, prints: Tensor, gaping: Tensor) -> Tensor:
        """(n, 2) share of points that neither light, pose nor speech explains: all, and skin's."""
        rest = self.rest(prints)
        points = (rest / self.scale).square().view(prints.shape).sum(2)
        apart = (rest * self.spread).view(prints.shape) / prints.new_tensor(STRANGE)
        apart = apart.square()
        apart[..., 0] *= ~gaping[:, None]
        strange = ((points > SIGNIFICANT) & (apart.sum(2) > 1)).float()
        return torch.stack([strange.mean(1), strange[:, LIPS:].mean(1)], 1)

    def distance(self, prints: Tensor) -> Tensor:
        """(n,) how unusual frames are."""
        points = (self.rest(prints) / self.scale).square().view(prints.shape).sum(2)
        return points.clamp(max=36).mean(1)

    def rest(self, prints: Tensor) -> Tensor:
        """(n, P) what the components leave, comparable."""
        values = (prints.flatten(1) - self.middle) / self.spread - self.mean
        return _rest(values, self.basis, self.most)


def _learn(prints: Tensor) -> tuple[_Usual, Tensor]:
    """What is usual among prints (n, K, 3), and which of them (n,) are."""
    flat = prints.flatten(1)
    middle = flat.median(0).values
    floor = prints.new_tensor(FLOOR).repeat(prints.shape[1])
    spread = 1.48 * (flat - middle).abs().median(0).values + floor
    values = (flat - middle) / spread
    distance = values.square().clamp(max=16).mean(1)
    good = distance <= distance.quantile(KEEP)
    for _ in range(ROUNDS):
        usual = _components(middle, spread, values[good])
        distance = usual.distance(prints)
        limit = torch.maximum(TIMES * distance[good].median(), distance.quantile(0.8 * KEEP))
        good = distance <= limit
    return usual, good


def _components(middle: Tensor, spread: Tensor, values: Tensor) -> _Usual:
    mean = values.mean(0)
    away = values - mean
    power, axes = torch.linalg.eigh(away.T @ away / len(away))
    count = min(COMPONENTS, len(values) // FRAMES_EACH)
    basis = axes.T.flip(0)[:count]
    most = 3 * power.flip(0)[:count].clamp_min(0).sqrt()
    scale = 1.48 * _rest(away, basis, most).abs().median(0).values + 0.25
    return _Usual(middle, spread, mean, basis, most, scale)


def _rest(away: Tensor, basis: Tensor, most: Tensor) -> Tensor:
    """(n, P) values less what the components explain, by weights that let go of strange ones."""
    count = len(basis)
    products = (basis[:, None] * basis[None]).flatten(0, 1)
    ridge = 1e-2 * torch.eye(count)
    rest, weight = away, torch.ones_like(away)
    for _ in range(REWEIGHTED):
        system = (weight @ products.T).view(-1, count, count) + ridge
        share = torch.linalg.solve(system, (weight * away) @ basis.T)
        rest = away - torch.maximum(torch.minimum(share, most), -most) @ basis
        weight = 1 / (1 + (rest / 2).square())
    return rest


def _more_face_like(prints: Tensor, than: Tensor) -> bool:
    """Whether prints are clearly more of a face than others, which are more frames.

    Lips are redder than skin, and skin around them has the colour of the rest of the face. A hand
    has that colour, too, and some lips are hardly redder: then most frames are right.
    """
    (red, face_like), (least_red, least) = _looks(prints), _looks(than)
    return face_like > least + (0.0 if red > least_red + REDDER else CLEARLY)


def face_likeness(colors: Tensor) -> float:
    """How much a lower face has a face's colours; 0 in a picture without colour.

    It is by how much lips are redder than skin, less how far that is off the upper face's, of 255.

    Args:
        colors: (n, ROW, 3) uint8 of looks at one face, from `appearance.sample`.
    """
    return _looks(_prints(colors))[1]


def _looks(prints: Tensor) -> tuple[float, float]:
    """How much redder lips are than skin, and the same less how far that is off the face's."""
    tint = prints[..., 1:].median(0).values
    lips, skin = tint[:LIPS].median(0).values, tint[LIPS:].median(0).values
    red = float((lips - skin)[1])
    return red, red - float(skin.norm())


def _held(share: Tensor, skin: Tensor) -> Tensor:
    """(n,) bool: from where something came before the face to where it left."""
    held = torch.zeros(len(share), dtype=torch.bool)
    for start, stop in true_runs(share >= SOME):
        rolled = stop - start <= ROLLED and float(skin[start:stop].max()) < BESIDE
        much = float(share[start:stop].max()) >= MUCH
        held[start:stop] = stop - start >= LEAST_RUN and much and not rolled
    return held
