"""Separable 8-bit resampling in integers: the same bytes as OpenCV and Pillow, on CPU and CUDA.

Networks that were trained on pictures from these libraries see what they were trained on, and
nothing depends on a CPU's vector unit. Each output sample is a weighted sum over a few taps of one
axis, with fixed-point weights and the library's own rounding between the axes.

Sources: OpenCV `modules/imgproc/src/resize.cpp` (`resizeGeneric_`, `interpolateLanczos4`,
`VResizeLinear`, `FixedPtCast`), Pillow `src/libImaging/Resample.c` (`precompute_coeffs`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_OPENCV_BITS = 11
_PILLOW_BITS = 22
_FLT_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class _Taps:
    """For each of n output samples: k input indices and k integer weights."""

    index: Tensor
    """(n, k) int64, inside the input."""
    weight: Tensor
    """(n, k) int64."""


def opencv_linear(picture: Tensor, height: int, width: int) -> Tensor:
    """`cv2.resize(..., interpolation=INTER_LINEAR)`.

    Args:
        picture: (..., H, W) uint8.

    Returns:
        (..., height, width) uint8.
    """
    h, w = picture.shape[-2:]
    if (h, w) == (height, width):
        return picture.clone()
    if (h, w) == (2 * height, 2 * width):  # OpenCV takes the exact half for an area average
        x = picture.to(torch.int32)
        total = x[..., 0::2, 0::2] + x[..., 0::2, 1::2] + x[..., 1::2, 0::2] + x[..., 1::2, 1::2]
        return ((total + 2) >> 2).to(torch.uint8)
    rows = _along(picture, -1, _opencv_taps(w, width, 2, closed=True))
    taps = _opencv_taps(h, height, 2)
    lines = rows.index_select(-2, taps.index.reshape(-1).to(rows.device)) >> 4
    pairs = _by_taps(lines, -2, taps)
    weight = taps.weight.to(rows.device, torch.int32).unsqueeze(-1)
    upper, lower = ((pairs * weight) >> 16).unbind(-2)
    return ((upper + lower + 2) >> 2).clamp(0, 255).to(torch.uint8)


def opencv_lanczos4(picture: Tensor, height: int, width: int) -> Tensor:
    """`cv2.resize(..., interpolation=INTER_LANCZOS4)`.

    Args:
        picture: (..., H, W) uint8.

    Returns:
        (..., height, width) uint8.
    """
    h, w = picture.shape[-2:]
    if (h, w) == (height, width):
        return picture.clone()
    rows = _along(picture, -1, _opencv_taps(w, width, 8))
    both = _along(rows, -2, _opencv_taps(h, height, 8))
    half = 1 << (2 * _OPENCV_BITS - 1)
    return ((both + half) >> (2 * _OPENCV_BITS)).clamp(0, 255).to(torch.uint8)


def pillow_bicubic(picture: Tensor, height: int, width: int) -> Tensor:
    """`PIL.Image.resize((width, height))` of an 8-bit picture (bicubic, a = -0.5, antialiased).

    Args:
        picture: (..., H, W) uint8.

    Returns:
        (..., height, width) uint8.
    """
    out = picture
    for axis, size in ((-1, width), (-2, height)):
        if out.shape[axis] == size:
            continue
        total = _along(out, axis, _pillow_taps(out.shape[axis], size))
        out = ((total + (1 << (_PILLOW_BITS - 1))) >> _PILLOW_BITS).clamp(0, 255).to(torch.uint8)
    return out.clone() if out is picture else out


def linear_taps(source: int, target: int, *, closed: bool) -> tuple[Tensor, Tensor]:
    """The taps of `opencv_linear` along one axis, for callers that resize many pictures at once.

    Args:
        source: samples of the input.
        target: samples of the output.
        closed: for columns; rows are not.

    Returns:
        Indices and weights (of 2048), (target, 2) int64 each.
    """
    taps = _opencv_taps(source, target, 2, closed)
    return taps.index, taps.weight


def lanczos4_taps(source: int, target: int) -> tuple[Tensor, Tensor]:
    """The taps of `opencv_lanczos4` along one axis: indices and weights, (target, 8) int64 each."""
    taps = _opencv_taps(source, target, 8)
    return taps.index, taps.weight


def _along(picture: Tensor, axis: int, taps: _Taps) -> Tensor:
    """Weighted sums along one axis, int32: no sum of these libraries' weights leaves its range."""
    n, k = taps.index.shape
    taken = picture.index_select(axis, taps.index.reshape(-1).to(picture.device))
    taken = _by_taps(taken.to(torch.int32), axis, taps)
    shape = (n, k) if axis == -1 else (n, k, 1)
    weight = taps.weight.to(picture.device, torch.int32).reshape(shape)
    return (taken * weight).sum(dim=axis, dtype=torch.int32)


def _by_taps(taken: Tensor, axis: int, taps: _Taps) -> Tensor:
    """Split an axis of n * k samples into n by k."""
    behind = taken.shape[axis:][1:]
    return taken.reshape(*taken.shape[:axis], *taps.index.shape, *behind)


@lru_cache(maxsize=4096)
def _opencv_taps(source: int, target: int, k: int, closed: bool = False) -> _Taps:
    """`closed`: beyond the picture the edge has all the weight; OpenCV does so for columns only."""
    scale = np.float64(source) / np.float64(target)
    place = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    whole = np.floor(place).astype(np.int64)
    part = place - whole.astype(np.float32)
    if k == 2:
        if closed:
            part[(whole < 0) | (whole >= source - 1)] = 0.0
            whole = whole.clip(0, source - 1)
        real = np.stack([np.float32(1) - part, part], axis=1)
    else:
        real = _lanczos4(part)
    weight = np.rint(real * np.float32(1 << _OPENCV_BITS)).astype(np.int64)
    index = whole[:, None] + np.arange(k) - (k // 2 - 1)
    return _Taps(
        torch.from_numpy(index.clip(0, source - 1)), torch.from_numpy(weight.clip(-32768, 32767))
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


@lru_cache(maxsize=4096)
def _pillow_taps(source: int, target: int) -> _Taps:
    scale = source / target
    stretch = max(scale, 1.0)
    support = 2.0 * stretch
    k = math.ceil(support) * 2 + 1
    centre = (np.arange(target) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + support + 0.5).astype(np.int64), source)
    index = first[:, None] + np.arange(k)
    real = _cubic((index - centre[:, None] + 0.5) / stretch)
    real[index >= end[:, None]] = 0.0
    total = np.zeros(target)
    for i in range(k):  # one after the other, as the library adds them
        total += real[:, i]
    fixed = real / total[:, None] * (1 << _PILLOW_BITS)
    weight = (fixed + np.where(fixed < 0, -0.5, 0.5)).astype(np.int64)
    return _Taps(torch.from_numpy(index.clip(0, source - 1)), torch.from_numpy(weight))


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
