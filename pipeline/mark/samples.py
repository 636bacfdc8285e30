"""Pictures of a file as a reader of the watermark needs them, and the evidence in their blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.mark.lattice import (
    ASIDE,
    STEP,
    Plane,
    Values,
    colourless,
    places,
    singular,
    singular_of_cells,
)
from pipeline.mark.payload import BITS, Soft

SCAN = 300
"""Pictures that are looked at, from the first."""
_EVERY = 6
"""Pictures from one that is looked at to the next."""
_BUDGET = 48 << 20
"""Bytes of chroma that are kept at most; their sums take four times as much."""
_FEW = 8
"""Samples that are enough to look for the blocks' place."""

Evidence = NDArray[np.complex128]
"""(2, rows, columns) means over time of e^(2 pi i value / STEP): i for a block of 0, -i for 1."""


@dataclass(frozen=True)
class Grid:
    """Where blocks lie in a plane of chroma samples: first corner and side, in samples."""

    y: float
    x: float
    side: float


class Samples:
    """Sums over rectangles of U and V, of pictures spread over the beginning of a file.

    Args:
        sums: (pictures, 2, height + 1, width + 1).
        colourless: they are read as a film's that begins without any colour.
    """

    def __init__(self, sums: NDArray[np.int32], colourless: bool = False) -> None:
        self._sums = sums
        self._colourless = colourless
        self._turn = np.complex64(np.exp(-2j * np.pi / STEP * ASIDE * colourless))
        self.height, self.width = sums.shape[2] - 1, sums.shape[3] - 1

    def few(self) -> Samples:
        """At most eight of them, spread."""
        return Samples(self._sums[:: max(1, len(self._sums) // _FEW)][:_FEW], self._colourless)

    def evidence(self, grid: Grid) -> Evidence:
        """What the whole blocks of a grid say; exact area means at any fraction of a sample."""
        rows = int((self.height - grid.y) / grid.side + 1e-6)
        columns = int((self.width - grid.x) / grid.side + 1e-6)
        half = grid.side / 2
        y = grid.y + half * np.arange(2 * rows + 1)
        x = grid.x + half * np.arange(2 * columns + 1)
        corners = _between(_between(self._sums, y, 2), x, 3)
        cells = np.diff(np.diff(corners, axis=2), axis=3) / half**2
        turned = np.exp(2j * np.pi / STEP * singular_of_cells(cells))
        mean: Evidence = turned.mean(axis=0) * self._turn
        return mean

    def places_by_likelihood(self, side: int, most: int) -> list[Grid]:
        """The offsets of a grid of whole samples at which blocks look most like marked ones."""
        total = np.zeros((2, self.height - side + 1, self.width - side + 1), np.complex64)
        for picture in self._sums:
            for plane, sums in zip(total, picture, strict=True):
                plane += np.exp(np.complex64(2j * np.pi / STEP) * _everywhere(sums, side // 2))
        score = _folded(sureness(total * (self._turn / len(self._sums))), side)
        found = []
        for _ in range(most):
            y, x = (int(at) for at in np.unravel_index(int(score.argmax()), score.shape))
            found.append(Grid(y, x, side))
            near = np.ix_(*(np.arange(at - 1, at + 2) % side for at in (y, x)))
            score[near] = -np.inf
        return found


def sample(pictures: Iterable[tuple[Plane, Plane]]) -> list[Samples]:
    """Sums of some of the first 300 pictures; nothing where there is none of at least 32 by 32.

    Where one of them has no colour they come twice, first as a film's that begins without any.

    Args:
        pictures: U and V of each picture, in display order.
    """
    import cv2

    kept: list[list[NDArray[np.int32]]] = []
    room, grey = _BUDGET, False
    for number, planes in enumerate(pictures):
        size = sum(plane.size for plane in planes)
        if number >= SCAN or room < size or min(planes[0].shape) < 16:
            break
        if number % _EVERY == 0:
            kept.append([np.asarray(cv2.integral(plane), np.int32) for plane in planes])
            grey |= all(colourless(plane) for plane in planes)
            room -= size
    if not kept:
        return []
    sums = np.array(kept)
    return [Samples(sums, True), Samples(sums)] if grey else [Samples(sums)]


def soft_bits(evidence: Evidence) -> Soft:
    """(BITS,) sums over the blocks that carry the same bit, as if no block had been cut off.

    A block says its bit as clearly as its value lies away from the middle between both remainders.
    """
    soft = np.zeros(BITS)
    length = np.abs(evidence)
    clear = np.arcsin(np.clip(-evidence.imag / np.maximum(length, 1e-6), -1, 1))
    for plane, said in enumerate(clear * length):
        rows, columns = said.shape
        at = places(rows, columns, plane)
        soft += np.bincount(at.reshape(-1), said.reshape(-1), BITS)
    return soft


def sureness(evidence: NDArray[Any]) -> Values:
    """How much each place looks like a marked block: 1 for either bit, around 0 for others."""
    length = np.abs(evidence)
    sure: Values = (evidence.imag**2 - evidence.real**2) / np.maximum(length, 1e-6)
    return sure


def _between(sums: NDArray[Any], at: NDArray[Any], axis: int) -> Values:
    """Sums at fractions of a sample, along one axis."""
    last = sums.shape[axis] - 1
    low = np.minimum(np.floor(at + 1e-9).astype(np.intp), last - 1)
    share = (at - low).reshape([-1 if n == axis else 1 for n in range(sums.ndim)])
    left, right = np.take(sums, low, axis).astype(float), np.take(sums, low + 1, axis).astype(float)
    made: Values = left + share * (right - left)
    return made


def _everywhere(sums: NDArray[np.int32], cell: int) -> NDArray[np.float32]:
    """The singular value of the block that begins at each place."""
    means = sums[cell:, cell:] - sums[:-cell, cell:] - sums[cell:, :-cell] + sums[:-cell, :-cell]
    values = means.astype(np.float32) / cell**2
    high, wide = values.shape[0] - cell, values.shape[1] - cell
    made = singular(  # single precision is enough to look for a place
        values[:high, :wide], values[:high, cell:], values[cell:, :wide], values[cell:, cell:]
    )
    return made.astype(np.float32)


def _folded(sure: Values, side: int) -> Values:
    """(side, side) sums over all places that a grid of that side takes from each offset."""
    rows, columns = sure.shape[1] // side, sure.shape[2] // side
    whole = sure[:, : rows * side, : columns * side].reshape(2, rows, side, columns, side)
    folded: Values = whole.sum(axis=(0, 1, 3), dtype=np.float64)
    return folded
