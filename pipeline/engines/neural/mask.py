"""Where the painted mouth may show: the steps of the rule that `masks` follows for a batch.

The original parses the face into 19 classes with BiSeNet on a 512 px picture of the blending
square; here the same regions come from the mesh (`contour`), and the same rule turns them into a
soft mask: the skin grown downwards over the chin, thinned beside it, joined with mouth and lips,
cut to the box and to the lower half of the square, and blurred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.windows import brought

SIDE = 512
"""Side of the class map, px."""
CHEEK_WIDTH = 90
"""Columns on each side of the middle in which the grown skin is not thinned."""
UPPER_BOUNDARY = 0.5
"""Rows of the square above this share stay as they are."""
BLUR = 0.05
"""Width of the blur over the width of the square."""


def blur_width(side: int) -> int:
    """Taps of the mask's blur, odd."""
    return int(BLUR * side // 2 * 2) + 1


def gaussian_blur(mask: Tensor, taps: int) -> Tensor:
    """`cv2.GaussianBlur(mask, (taps, taps), 0)` of an 8-bit picture, to the byte.

    OpenCV blurs 8-bit pictures with weights of 8 fractional bits whose rounding error is carried
    to the next weight; all sums stay below 2^24, so float32 holds them exactly.
    Source: OpenCV `modules/imgproc/src/smooth.dispatch.cpp`.

    Args:
        mask: (..., H, W) uint8, each side longer than taps / 2.
        taps: odd.
    """
    edge = taps // 2
    x = mask.reshape(-1, 1, *mask.shape[-2:]).to(torch.float32)
    x = F.pad(x, (edge, edge, edge, edge), mode="reflect") if edge else x
    for axis in (-1, -2):
        size = mask.shape[axis]
        total = torch.zeros_like(x.narrow(axis, 0, size))
        for place, weight in enumerate(_blur_weights(taps)):
            total.add_(x.narrow(axis, place, size), alpha=weight)
        x = total
    return ((x + 32768.0) / 65536.0).floor().to(torch.uint8).view(mask.shape)


def grown_skin(skin: Tensor) -> Tensor:
    """Skin grown by a cone that points up, thinned beside the chin. (..., 512, 512) bool."""
    grown = _dilate(skin, _runs(cone_kernel))
    thin = ~_dilate(~grown, _runs(cheek_kernel))
    thin = ~_dilate(~thin, _runs(cheek_kernel))
    return torch.where(brought(cheek_columns(), skin.device), thin, grown)


@dataclass(frozen=True, slots=True)
class _Runs:
    """A kernel of the shape of a fan: first row, last row and half width of its runs."""

    middle: int
    pad: int
    rows: tuple[tuple[int, int, int], ...]


def _dilate(area: Tensor, kernel: _Runs) -> Tensor:
    """Binary dilation of (..., H, W) around the kernel's middle; nothing lies beyond the edge.

    The rows of these kernels are runs around the middle, so each run of equal rows is one look-up
    in an integral picture (Viola and Jones 2001) instead of hundreds of comparisons. Its sums may
    leave 16 bits, their differences, of a run's rows, do not: a quarter of the memory is touched.
    """
    height, width = area.shape[-2:]
    pad, middle = kernel.pad, kernel.middle
    whole = F.pad(area.to(torch.int16), (pad, pad, pad, pad))
    for axis in (-2, -1):
        whole = whole.cumsum(axis, dtype=torch.int16)
    out = torch.zeros_like(area)
    for top, bottom, reach in kernel.rows:
        above, below = pad + top - middle - 1, pad + bottom - middle
        left, right = pad - reach - 1, pad + reach
        rows = whole.narrow(-2, below, height) - whole.narrow(-2, above, height)
        out |= rows.narrow(-1, right, width) > rows.narrow(-1, left, width)
    return out


@lru_cache
def _runs(kernel: Callable[[], Tensor]) -> _Runs:
    """The kernel's runs of equal rows."""
    drawn = kernel()
    reaches = [int(row.sum()) // 2 if row.any() else -1 for row in drawn]
    out: list[tuple[int, int, int]] = []
    for row, reach in enumerate(reaches):
        if reach < 0:
            continue
        if out and out[-1][2] == reach and out[-1][1] == row - 1:
            out[-1] = (out[-1][0], row, reach)
        else:
            out.append((row, row, reach))
    return _Runs(drawn.shape[0] // 2, max(drawn.shape) // 2 + 1, tuple(out))


@lru_cache
def cone_kernel() -> Tensor:
    """(33, 33) 0/1: a cone of 21 rows that widens to 21 columns, then a tail of 12 rows."""
    kernel = torch.zeros(33, 33, dtype=torch.uint8)
    for row in range(10, 33):
        reach = min(row, 20) - 10
        kernel[row, 16 - reach : 16 + reach + 1] = 1
    return kernel


@lru_cache
def cheek_kernel() -> Tensor:
    """(3, 35) 0/1: OpenCV's ellipse of that size, a line with one point above and below."""
    kernel = torch.zeros(3, 35, dtype=torch.uint8)
    kernel[1] = 1
    kernel[:, 17] = 1
    return kernel


@lru_cache
def cheek_columns() -> Tensor:
    """(512,) bool: columns in which the grown skin is thinned. OpenCV's rectangles are closed."""
    column = torch.arange(SIDE)
    return (column <= SIDE // 2 - CHEEK_WIDTH) | (column >= SIDE // 2 + CHEEK_WIDTH)


@lru_cache
def _blur_weights(taps: int) -> list[float]:
    """Whole numbers that sum to 256."""
    real = _gaussian(taps)
    out = np.zeros(taps)
    carried = 0.0
    for i in range(taps // 2):
        wanted = real[i] * 256.0 + carried
        out[i] = out[taps - 1 - i] = np.rint(wanted)
        carried = wanted - out[i]
    out[taps // 2] = 256.0 - out.sum()
    return [float(weight) for weight in out]


def _gaussian(taps: int) -> list[float]:
    """OpenCV's kernel for sigma = 0: a table for small ones, else sigma from the width."""
    table = {
        1: [1.0],
        3: [0.25, 0.5, 0.25],
        5: [0.0625, 0.25, 0.375, 0.25, 0.0625],
        7: [0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125],
    }
    if taps in table:
        return table[taps]
    sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8
    value = [float(np.exp(-((i - (taps - 1) / 2) ** 2) / (2 * sigma * sigma))) for i in range(taps)]
    return [v / sum(value) for v in value]
