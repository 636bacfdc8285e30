"""Mouths that the mesh network guesses: what is before them is there throughout a shot, or a photo.

`occlusion` needs frames that show the mouth as it is. Where there are none, as behind a mask, or in
a photo with a hand before the lips, the network itself tells: it places lips there as surely as on
a mouth, but looks a hair apart place them elsewhere, while the eyes keep still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.faces.mesh import Meshes
from pipeline.faces.occlusion import GAPING, face_likeness
from pipeline.faces.smooth import Geometry
from pipeline.faces.topology import (
    EYE_CORNERS_OUTER,
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
)
from pipeline.types import Frame

APART = (
    *((0.02, 0, 1, 0), (-0.02, 0, 1, 0), (0, 0.02, 1, 0), (0, -0.02, 1, 0)),
    *((0, 0, 1.05, 0), (0, 0, 0.95, 0), (0, 0, 1, 0.05), (0, 0, 1, -0.05)),
)
"""How the looks differ: aside and down in sides of the region, larger, turned (rad)."""
GUESSED, ALONE, TIMES = 0.0125, 0.015, 2.2
"""Lips move by so much, io, and so many times as much as the eyes, where they are guessed. A frame
that is looked at alone may be blurred: with a blur of .16 io, lips of 38 people moved by .0145."""
SEEN = 0.008
"""Lips that move by less in one look are seen in their shot, and it needs no other."""
OF_ITS_OWN = 4.0
"""Lips that are so much redder than skin which has the face's colour, of 255, are seen."""
SURE, SURE_TIMES, STRANGE = 0.018, 2.6, -20.0
"""The same for what nobody doubts, and the likeness of a face below which it is none. Dim light,
blur and strong compression let lips of one in thirty people move as guessed ones, and a dog's
always do; but all of them have a face's colours."""
FIRST, LATER = 3, 3
"""So many batches of a stretch are looked at, and then every so many, until lips are seen."""
TURNED = 30.0
"""Degrees from which the far half of a mouth is hardly seen."""
_LIPS = (LIPS_OUTER_UPPER[1:-1], LIPS_OUTER_LOWER[1:-1])
"""Both move where they are guessed; bare teeth, a shadow or a shout moves one."""
_EYES = (
    *(*EYE_LEFT_UPPER, *EYE_LEFT_LOWER[1:-1]),
    *(*EYE_RIGHT_UPPER, *EYE_RIGHT_LOWER[1:-1]),
)


@dataclass(frozen=True, slots=True)
class Glance:
    """Some looks, a hair apart, at the face in one frame."""

    index: int
    """Of the frame."""
    lips: float
    """By how much the outline of the lips differs, io: that of its steadier lip."""
    eyes: float
    likeness: float
    """See `occlusion.face_likeness`."""

    @classmethod
    def of(cls, index: int, seen: Meshes) -> Glance:
        """What looks at one face tell."""
        flat = seen.points[..., :2]
        left, right = EYE_CORNERS_OUTER
        io = float((flat[:, right] - flat[:, left]).norm(dim=1).mean())
        lips = min(_apart(flat[:, list(part)]) for part in _LIPS) / max(io, 1.0)
        eyes = _apart(flat[:, list(_EYES)]) / max(io, 1.0)
        return cls(index, lips, eyes, face_likeness(seen.colors))


def _apart(places: Tensor) -> float:
    """How far (n, K, 2) places are from their means, pixels."""
    return float((places - places.mean(0)).square().sum(2).mean().sqrt())


class Guess(NamedTuple):
    """What glances tell of N frames."""

    hidden: Tensor
    """(N,) bool: the mouth is covered."""
    doubted: int
    """Frames that are painted though it may be."""


class Glances:
    """Those at one face, as few as tell."""

    def __init__(self) -> None:
        self.seen: list[Glance] = []
        self._batches = 0
        self._sure = False

    def anew(self) -> None:
        """The face was not followed until now."""
        self._batches, self._sure = 0, False

    def take(
        self,
        look: Callable[[Sequence[Frame], Tensor], Meshes],
        frame: Frame,
        region: NDArray[np.float32],
    ) -> None:
        """Where it is time to, look at the (4,) region of the face in a batch's last frame."""
        due = self._batches < FIRST or self._batches % LATER == 0
        self._batches += 1
        if self._sure or not due:
            return
        seen = look([frame] * len(APART), _regions(region))
        if not _is_inside(seen.points, frame):
            return
        glance = Glance.of(frame.index, seen)
        self.seen.append(glance)
        self._sure = glance.lips < SEEN


def _regions(region: NDArray[np.float32]) -> Tensor:
    """(n, 4) regions that differ from one (4,) by `APART`."""
    aside, down, larger, turned = torch.tensor(APART).T
    x, y, side, angle = torch.from_numpy(region)
    return torch.stack([x + aside * side, y + down * side, side * larger, angle + turned], 1)


def _is_inside(points: Tensor, frame: Frame) -> bool:
    """Whether the picture shows a face down to its chin: what it ends before is guessed, too."""
    x, y = points[..., :2].median(0).values.unbind(1)
    lowest, (left, right) = y.max(), (x.min(), x.max())
    return bool((lowest < frame.height) & (left >= 0) & (right < frame.width))


def guessed(glances: Sequence[Glance], geometry: Geometry, otherwise: Tensor) -> Guess:
    """Which frames are of shots in which nobody saw the mouth.

    A shot that is left out by mistake costs its frames, and a reference the whole job. So where
    they would be most of what can be painted, shots are left out only if what is seen is no face.

    Args:
        otherwise: (N,) bool, frames that can be painted but for this.
    """
    present, shot = geometry.present, geometry.cut.cumsum(0)
    found, sure = torch.zeros(2, len(present), dtype=torch.bool)
    by_shot: dict[int, list[Glance]] = {}
    for glance in glances:
        if bool(present[glance.index]):
            by_shot.setdefault(int(shot[glance.index]), []).append(glance)
    for number, those in by_shot.items():
        if _is_guessed(those, geometry):
            frames = present & (shot == number)
            found |= frames
            sure |= frames & _is_strange(those)
    most = 2 * int((found & otherwise).sum()) > int(otherwise.sum())
    hidden = sure if most else found
    return Guess(hidden, int((found & otherwise & ~hidden).sum()))


def _is_strange(glances: Sequence[Glance]) -> bool:
    count = len(glances)
    lips, eyes = sum(each.lips for each in glances), sum(each.eyes for each in glances)
    like = sum(each.likeness for each in glances)
    return lips > max(SURE * count, SURE_TIMES * eyes) and like < STRANGE * count


def _is_guessed(glances: Sequence[Glance], geometry: Geometry) -> bool:
    count, at = len(glances), [each.index for each in glances]
    lips, eyes = sum(each.lips for each in glances), sum(each.eyes for each in glances)
    like = sum(each.likeness for each in glances)
    gaping = float(geometry.opening[at].mean()) > GAPING
    turned = float(geometry.yaw[at].abs().mean()) > TURNED
    seen = any(each.lips < SEEN for each in glances) or like > OF_ITS_OWN * count
    most = max((GUESSED if count > 1 else ALONE) * count, TIMES * eyes)
    return not (seen or gaping or turned) and lips > most
