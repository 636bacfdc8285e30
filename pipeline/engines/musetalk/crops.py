"""The faces of many frames as the network's pictures, in a few steps on the device.

What `planes.read_rgb` and `picture.crop` say for one frame, for many at once: only the windows
around the faces travel, as 8-bit samples, filled up to the largest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engines.musetalk.boxes import Box
from pipeline.engines.musetalk.picture import SIDE
from pipeline.engines.planes import Window, rgb_of
from pipeline.engines.resize import lanczos4_taps
from pipeline.engines.windows import part_of, staging, windows_around
from pipeline.types import Color, Frame

_TAPS = 8
_HALF, _BITS = 1 << 21, 22
"""Of two axes of weights of 2048."""


def crop_faces(frames: Sequence[Frame], boxes: Sequence[Box], color: Color, device: str) -> Tensor:
    """Cut out, convert and resize with OpenCV's Lanczos.

    Args:
        frames: B frames.
        boxes: the face box in each, inside the frame.
        color: how the planes are to be read.
        device: where the pictures are made.

    Returns:
        (B, 3, 256, 256) uint8 RGB.
    """
    inner = [Window(box.x0, box.y0, box.x1, box.y1) for box in boxes]
    windows = windows_around(inner, frames[0].height, frames[0].width)
    rgb = windows_rgb(frames, windows, color, device)
    taps = _taps(inner, windows, rgb.device)
    both = _along(_along(rgb, taps[:, :2], 3), taps[:, 2:], 2)
    return ((both + _HALF) >> _BITS).clamp(0, 255).to(torch.uint8)


def windows_rgb(
    frames: Sequence[Frame], windows: Sequence[Window], color: Color, device: str
) -> Tensor:
    """`planes.read_rgb` of many windows of one size, even: (B, 3, h, w) uint8 on the device."""
    at = torch.device(device)
    luma = _stacked([part_of(f.y, w) for f, w in zip(frames, windows, strict=True)], at)
    u, v = _grown(_chroma(frames, windows, at).float()).unbind(1)
    rgb = rgb_of(luma.float(), u, v, color).round().clamp(0, 255).to(torch.uint8)
    return rgb.transpose(0, 1)


def _stacked(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    held = staging((len(parts), *parts[0].shape), device, parts[0].dtype)
    return torch.stack(list(parts), out=held).to(device, non_blocking=True)


def _chroma(frames: Sequence[Frame], windows: Sequence[Window], device: torch.device) -> Tensor:
    """(B, 2, high / 2 + 2, wide / 2 + 1) uint8: with a row above, one below, and a column beyond.

    At the plane's edges they repeat it.
    """
    parts = [
        _widened(plane, window)
        for frame, window in zip(frames, windows, strict=True)
        for plane in (frame.u, frame.v)
    ]
    stacked = _stacked(parts, device)
    return stacked.view(-1, 2, *stacked.shape[1:])


def _widened(plane: Tensor, window: Window) -> Tensor:
    high, wide = plane.shape
    part = Window(window.x0 // 2, window.y0 // 2 - 1, window.x1 // 2 + 1, window.y1 // 2 + 1)
    if part.y0 >= 0 and part.y1 <= high and part.x1 <= wide:
        return part_of(plane, part)
    rows = torch.arange(part.y0, part.y1).clamp(0, high - 1)
    return plane[rows.unsqueeze(1), torch.arange(part.x0, part.x1).clamp(0, wide - 1)]


def _grown(chroma: Tensor) -> Tensor:
    """(B, 2, h + 2, w + 1) float to luma size, (B, 2, 2 h, 2 w); siting as in `planes`."""
    above, here, below = chroma[:, :, :-2], chroma[:, :, 1:-1], chroma[:, :, 2:]
    lines = torch.stack([above * 0.25 + here * 0.75, here * 0.75 + below * 0.25], dim=3)
    lines = lines.flatten(2, 3)
    west, east = lines[..., :-1], lines[..., 1:]
    return torch.stack([west, west * 0.5 + east * 0.5], dim=4).flatten(3, 4)


def _taps(inner: Sequence[Window], windows: Sequence[Window], device: torch.device) -> Tensor:
    """(B, 4, 256, 8) int64: places in the window and weights of columns, then of rows."""
    rows = [
        _row(box.x1 - box.x0, box.x0 - window.x0, box.y1 - box.y0, box.y0 - window.y0)
        for box, window in zip(inner, windows, strict=True)
    ]
    return _stacked(rows, device)


@lru_cache(maxsize=1024)
def _row(wide: int, left: int, high: int, top: int) -> Tensor:
    columns, column_weights = lanczos4_taps(wide, SIDE)
    rows, row_weights = lanczos4_taps(high, SIDE)
    return torch.stack([columns + left, column_weights, rows + top, row_weights])


def _along(pictures: Tensor, taps: Tensor, axis: int) -> Tensor:
    """Weighted sums along one axis of (B, 3, H, W), each picture by its own taps; int32."""
    shape = list(pictures.shape)
    shape[axis] = SIDE
    view = [len(pictures), 1, 1, 1]
    view[axis] = SIDE
    total = torch.zeros(shape, dtype=torch.int32, device=pictures.device)
    for k in range(_TAPS):
        index = taps[:, 0, :, k].reshape(view).expand(shape)
        weight = taps[:, 1, :, k].to(torch.int32).reshape(view)
        total += pictures.gather(axis, index).to(torch.int32) * weight
    return total
