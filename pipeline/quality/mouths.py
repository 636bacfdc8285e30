"""A mouth over time, re-measured from a tracked face, free of the head's motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline.faces.topology import (
    EYE_CORNERS_OUTER,
    LIP_CORNERS,
    LIP_GAPS,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
)

CHIN, NOSE = 152, 2
CHIN_AROUND = (152, 148, 377, 176, 400, 175, 199, 200)
"""The chin and the skin on it."""
LOWER_FACE = (
    *(2, 97, 326, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 61, 291),
)
"""What bounds the part of a face that speech moves: base of the nose, jaw, corners of the mouth."""
LIPS = (
    *(*LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER[1:-1]),
    *(*LIPS_INNER_UPPER, *LIPS_INNER_LOWER[1:-1]),
)
"""Outer and inner contour."""
STABLE = (
    *(10, 109, 338, 67, 297, 151, 9, 8, 168, 6, 197, 195, 33, 133, 263, 362, 127, 356, 234, 454),
)
"""Skull points that speech leaves in place: forehead, nose bridge, eye corners, temples."""
_CHUNK = 512


class Track(Protocol):
    """A tracked face; `pipeline.faces.track.FaceTrack` is one."""

    usable: Tensor
    io: Tensor

    def points(self, start: int, stop: int) -> Tensor:
        """(n, 478, 2 or 3) pixels of frames `start` to `stop`."""
        ...


@dataclass(frozen=True, slots=True)
class Mouths:
    """One mouth over N frames. Lengths are in io, the distance of the outer eye corners."""

    aperture: Tensor
    """(N,) float32, NaN where no usable face is."""
    width: Tensor
    """(N,) float32, NaN likewise."""
    chin: Tensor
    """(N,) float32, chin below the base of the nose along the face, NaN likewise."""
    io: Tensor
    """(N,) pixels."""
    usable: Tensor
    """(N,) bool."""
    box: Tensor
    """(N, 4) float32 pixels x0 y0 x1 y1 around the lips."""
    lips: Tensor
    """(N, 40, 2) float32 in io, aligned by the skull."""
    skull: Tensor
    """(N, 20, 2) likewise: what is left of the skull's motion, which is jitter."""
    chin_points: Tensor
    """(N, 8, 2) likewise."""
    lower: Tensor
    """(N, 4) float32 pixels x0 y0 x1 y1 around the lower face."""
    face: Tensor
    """(N, 4) float32 pixels x0 y0 x1 y1 around the whole mesh."""
    middle: Tensor
    """(N,) complex64 pixels: where the skull is."""
    turn: Tensor
    """(N,) complex64: (pixel - middle) * turn is aligned, in io."""
    template: Tensor | None
    """(20,) complex64 skull that everything is aligned to; None where no frame is usable."""


def read_mouths(track: Track, template: Tensor | None = None) -> Mouths:
    """Measure every frame of a track, in chunks.

    A gap counts along the face's own downward axis: lips that the mesh crosses are closed.

    Args:
        template: the skull to align to, so that two tracks can be compared point by point; else
            the one of the first usable frame.
    """
    total = int(track.usable.shape[0])
    columns: list[tuple[Tensor, ...]] = []
    for start in range(0, total, _CHUNK):
        stop = min(start + _CHUNK, total)
        points = track.points(start, stop)[..., :2].float()
        usable = track.usable[start:stop].bool() & torch.isfinite(points).flatten(1).all(1)
        if template is None and bool(usable.any()):
            template = _template(points[usable])
        columns.append(_chunk(points, usable, template))
    aperture, width, chin, io, seen, box, lips, skull, chin_points, lower, face, middle, turn = (
        torch.cat(column) for column in zip(*columns, strict=True)
    )
    return Mouths(
        aperture=aperture,
        width=width,
        chin=chin,
        io=io,
        usable=seen,
        box=box,
        lips=lips,
        skull=skull,
        chin_points=chin_points,
        lower=lower,
        face=face,
        middle=middle,
        turn=turn,
        template=template,
    )


def _chunk(points: Tensor, usable: Tensor, template: Tensor | None) -> tuple[Tensor, ...]:
    count = len(points)
    across = points[:, EYE_CORNERS_OUTER[1]] - points[:, EYE_CORNERS_OUTER[0]]
    io = across.norm(dim=1)
    size = io.clamp(min=1e-3)
    down = torch.stack([-across[:, 1], across[:, 0]], 1) / size[:, None]
    upper, lower = ([pair[side] for pair in LIP_GAPS] for side in (0, 1))
    gap = ((points[:, lower] - points[:, upper]) * down[:, None]).sum(-1).clamp(min=0)
    width = (points[:, LIP_CORNERS[1]] - points[:, LIP_CORNERS[0]]).norm(dim=1)
    chin = ((points[:, CHIN] - points[:, NOSE]) * down).sum(1)
    missing = torch.full((count,), float("nan"))
    lips = points[:, LIPS]
    box = torch.cat([lips.amin(1), lips.amax(1)], 1)
    part = points[:, LOWER_FACE]
    around = torch.cat([part.amin(1), part.amax(1)], 1)
    aligned, middle, turn = _aligned(points, template, (LIPS, STABLE, CHIN_AROUND))
    return (
        torch.where(usable, gap.mean(1) / size, missing),
        torch.where(usable, width / size, missing),
        torch.where(usable, chin / size, missing),
        io,
        usable,
        box,
        *aligned,
        around,
        torch.cat([points.amin(1), points.amax(1)], 1),
        middle,
        turn,
    )


def _template(points: Tensor) -> Tensor:
    """The skull points of the first usable frame in io, complex (20,)."""
    first = torch.view_as_complex(points[0].contiguous())
    size = (first[EYE_CORNERS_OUTER[1]] - first[EYE_CORNERS_OUTER[0]]).abs()
    skull = first[list(STABLE)] / size
    return skull - skull.mean()


def _aligned(
    points: Tensor, template: Tensor | None, groups: tuple[tuple[int, ...], ...]
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Groups of points aligned to the template by the skull, and that similarity: middle and turn.

    Each group is (n, K, 2); the similarity is the least-squares one.
    """
    flat = torch.view_as_complex(points.contiguous())
    skull = flat[:, STABLE]
    middle = skull.mean(1, keepdim=True)
    away = skull - middle
    wanted = template if template is not None else torch.full_like(skull[0], torch.nan)
    turn = (away.conj() * wanted).sum(1, keepdim=True) / away.abs().square().sum(
        1, keepdim=True
    ).clamp(min=1e-6)
    aligned = [torch.view_as_real((flat[:, group] - middle) * turn) for group in groups]
    return aligned, middle[:, 0], turn[:, 0]


def acceleration(places: Tensor, usable: Tensor) -> float | None:
    """Mean length of the second difference over time: how much points shake.

    Args:
        places: (N, K, 2).
        usable: (N,) bool.

    Returns:
        io per frame squared, or None where no three usable frames follow each other.
    """
    three = usable[2:] & usable[1:-1] & usable[:-2]
    if not bool(three.any()):
        return None
    bend = places[2:] - 2 * places[1:-1] + places[:-2]
    return float(bend[three].norm(dim=-1).mean())
