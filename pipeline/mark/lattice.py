"""Where the watermark's bits lie: square blocks of chroma, about 16 along the longer side.

A block is two by two cells. What carries a bit is the largest singular value of its cells' means,
as the library's embedder defines it: its remainder by `STEP` is a quarter for 0, three for 1. In a
film that begins without any colour, `ASIDE` is taken off it before: there no colour at all, which
is what every block has, lies in the middle between both, and the mark tints nothing on the mean.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.mark.payload import BITS

Plane = NDArray[np.uint8]
Values = NDArray[np.float64]

LEVELS = 1.5
"""Chroma levels from a block that says 0 to one that says 1."""
STEP = 4 * LEVELS
"""The same of the singular value of two equal bits: two cells by two weigh double."""
_NEUTRAL = 128.0
ASIDE = 2 * _NEUTRAL % STEP - STEP / 2
_COLOURLESS, _LOOK = 2.0, 16
"""Levels off neutral that a picture without colour has at most, after an encoder and with a mark,
and along how many places of each side it is looked at."""
_SIDES = (8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
_ALONG = 16
_ROW, _PLANE = 23, 11
"""How far the code word is on in the next row of blocks, and in V after U."""


def block_side(width: int, height: int) -> int:
    """Chroma samples along a block, for a picture of this size in pixels."""
    wanted = max(width, height) / 2 / _ALONG
    return min(_SIDES, key=lambda side: abs(math.log(side / wanted)))


def sides_before_a_crop(width: int, height: int, most: float) -> list[int]:
    """Sides that the picture may have had before up to `most` of it was cut off."""
    grown = [(width * k, height * k) for k in np.linspace(1, 1 / (1 - most), 9)]
    return sorted({block_side(int(w), int(h)) for w, h in grown})


def places(rows: int, columns: int, plane: int) -> NDArray[np.intp]:
    """(rows, columns) which bit of the code word a block carries; plane 0 is U, 1 is V."""
    row, column = np.mgrid[0:rows, 0:columns]
    placed: NDArray[np.intp] = (row * _ROW + column + plane * _PLANE) % BITS
    return placed


def shifted(rows: int, columns: int) -> int:
    """How far the code word is on where a crop took whole rows and columns of blocks away."""
    return rows * _ROW + columns


def colourless(plane: Plane) -> bool:
    """Whether a chroma plane has no colour."""
    import cv2

    small = cv2.resize(plane, (_LOOK, _LOOK), interpolation=cv2.INTER_AREA).astype(np.float32)
    return bool(np.abs(small - _NEUTRAL).max() <= _COLOURLESS)


def cell_means(plane: Plane, side: int) -> Values:
    """(2 rows, 2 columns) means of the cells of all whole blocks."""
    import cv2

    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    whole = plane[: rows * side, : columns * side].astype(np.float32)
    means: Values = cv2.resize(whole, (2 * columns, 2 * rows), interpolation=cv2.INTER_AREA).astype(
        np.float64
    )
    return means


def singular(a: Values, b: Values, c: Values, d: Values) -> Values:
    """The largest singular value of each [[a, b], [c, d]], in closed form."""
    squares = a * a + b * b + c * c + d * d
    determinant = a * d - b * c
    root = np.sqrt(np.maximum(squares * squares - 4 * determinant * determinant, 0))
    largest: Values = np.sqrt((squares + root) / 2)
    return largest


def singular_of_cells(cells: Values) -> Values:
    """(..., rows, columns) of means (..., 2 rows, 2 columns)."""
    even, odd = cells[..., 0::2, :], cells[..., 1::2, :]
    return singular(even[..., 0::2], even[..., 1::2], odd[..., 0::2], odd[..., 1::2])
