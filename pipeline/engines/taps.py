"""How OpenCV resizes 8-bit pictures: integer taps along one axis, of the same bytes anywhere.

Networks that were trained on pictures from this library see what they were trained on, and nothing
depends on a CPU's vector unit. Each output sample is a weighted sum over a few taps of one axis,
with fixed-point weights and the library's own rounding between the axes.

Source: OpenCV `modules/imgproc/src/resize.cpp` (`resizeGeneric_`, `interpolateLanczos4`,
`VResizeLinear`, `FixedPtCast`).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

BITS = 11
"""Of the fraction of a weight."""
_FLT_EPSILON = float(np.finfo(np.float32).eps)


@lru_cache(maxsize=4096)
def linear_taps(source: int, target: int, *, closed: bool) -> tuple[Tensor, Tensor]:
    """The taps of `INTER_LINEAR` along one axis.

    Args:
        closed: beyond the picture the edge has all the weight; OpenCV does so for columns only.

    Returns:
        Indices inside the input, and weights of 2048, (target, 2) int64 each.
    """
    whole, part = _places(source, target)
    if closed:
        part[(whole < 0) | (whole >= source - 1)] = 0.0
        whole = whole.clip(0, source - 1)
    return _taps(source, whole, np.stack([np.float32(1) - part, part], axis=1))


@lru_cache(maxsize=4096)
def lanczos4_taps(source: int, target: int) -> tuple[Tensor, Tensor]:
    """The taps of `INTER_LANCZOS4` along one axis: as of `linear_taps`, (target, 8) int64 each."""
    whole, part = _places(source, target)
    return _taps(source, whole, _lanczos4(part))


def _places(source: int, target: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Where output samples lie between those of the input: the one before, and the share beyond."""
    scale = np.float64(source) / np.float64(target)
    place = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    whole = np.floor(place).astype(np.int64)
    return whole, place - whole.astype(np.float32)


def _taps(
    source: int, whole: npt.NDArray[np.int64], real: npt.NDArray[np.float32]
) -> tuple[Tensor, Tensor]:
    """Indices and fixed-point weights of (target, k) real ones around (target,) samples."""
    taps = real.shape[1]
    weight = np.rint(real * np.float32(1 << BITS)).astype(np.int64)
    index = whole[:, None] + np.arange(taps) - (taps // 2 - 1)
    return (
        torch.from_numpy(index.clip(0, source - 1)),
        torch.from_numpy(weight.clip(-32768, 32767)),
    )


def _lanczos4(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The eight weights at each fraction, (N, 8), rounded where `interpolateLanczos4` rounds."""
    s45 = math.sqrt(0.5)
    turns = [(1, 0), (-s45, -s45), (0, 1), (s45, -s45), (-1, 0), (s45, s45), (0, -1), (-s45, s45)]
    y0 = -(x.astype(np.float64) + 3) * math.pi * 0.25
    s0, c0 = np.sin(y0), np.cos(y0)
    out = np.empty((len(x), 8), np.float32)
    total = np.zeros(len(x), np.float32)
    for i, (a, b) in enumerate(turns):
        away = (x + np.float32(3 - i)).astype(np.float64)
        close = np.abs(away) < 1e-6
        y = np.where(close, 1.0, -away * math.pi * 0.25)
        out[:, i] = np.where(close, 1e30, (a * s0 + b * c0) / (y * y))
        total += out[:, i]
    out *= (np.float32(1) / total)[:, None]
    out[x < _FLT_EPSILON] = np.eye(8, dtype=np.float32)[3]
    return out
