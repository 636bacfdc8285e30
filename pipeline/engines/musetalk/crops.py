"""The faces of many frames as the network's pictures, in a few steps on the device.

The samples are those of `planes.read_rgb` and OpenCV's Lanczos of each frame alone; only the
windows around the faces travel, as 8-bit samples, filled up to the largest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engines.musetalk.picture import SIDE
from pipeline.engines.neural.boxes import Box
from pipeline.engines.neural.reading import windows_rgb
from pipeline.engines.taps import lanczos4_taps
from pipeline.engines.windows import staging, windows_around
from pipeline.planes import Window
from pipeline.types import Color, Frame

_TAPS = 8
_HALF, _BITS = 1 << 21, 22
"""Of two axes of weights of 2048."""


def crop_faces(frames: Sequence[Frame], boxes: Sequence[Box], color: Color, device: str) -> Tensor:
    """Cut boxes out of frames, inside them; by OpenCV's Lanczos to (B, 3, 256, 256) uint8 RGB."""
    inner = [box.window() for box in boxes]
    windows = windows_around(inner, frames[0].height, frames[0].width)
    rgb = windows_rgb(frames, windows, color, device)
    taps = _taps(inner, windows, rgb.device)
    both = _along(_along(rgb, taps[:, :2], 3), taps[:, 2:], 2)
    return ((both + _HALF) >> _BITS).clamp(0, 255).to(torch.uint8)


def _taps(inner: Sequence[Window], windows: Sequence[Window], device: torch.device) -> Tensor:
    """(B, 4, 256, 8) int64: places in the window and weights of columns, then of rows."""
    held = staging((len(inner), 4, SIDE, _TAPS), device, torch.int64)
    for room, box, window in zip(held.numpy(), inner, windows, strict=True):
        room[:2] = _line(box.x1 - box.x0, box.x0 - window.x0)
        room[2:] = _line(box.y1 - box.y0, box.y0 - window.y0)
    return held.to(device, non_blocking=True)


@lru_cache(maxsize=1024)
def _line(source: int, first: int) -> NDArray[np.int64]:
    """(2, 256, 8) places and weights of one axis of a box that begins at `first`."""
    index, weight = lanczos4_taps(source, SIDE)
    return np.stack([index.numpy() + first, weight.numpy()])


def _along(pictures: Tensor, taps: Tensor, axis: int) -> Tensor:
    """Weighted sums along one axis of (B, 3, H, W), each picture by its own taps; int32."""
    shape, view = list(pictures.shape), [_TAPS, len(pictures), 1, 1, 1]
    shape[axis] = view[axis + 1] = SIDE
    indices, weights = taps.permute(1, 3, 0, 2).unbind()  # (8, B, 256) each
    indices = indices.reshape(view).expand(_TAPS, *shape)
    weights = weights.to(torch.int32).reshape(view)
    total = torch.zeros(shape, dtype=torch.int32, device=pictures.device)
    for index, weight in zip(indices.unbind(), weights.unbind(), strict=True):
        total.addcmul_(pictures.gather(axis, index).to(torch.int32), weight)
    return total
