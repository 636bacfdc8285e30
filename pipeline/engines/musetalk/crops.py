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
    windows = [Window(box.x0, box.y0, box.x1, box.y1).even() for box in boxes]
    high = max(window.y1 - window.y0 for window in windows)
    wide = max(window.x1 - window.x0 for window in windows)
    luma = _luma(frames, windows, high, wide).to(device, non_blocking=True).float()
    chroma = _chroma(frames, windows, high, wide).to(device, non_blocking=True).float()
    u, v = _grown(chroma).unbind(1)
    rgb = rgb_of(luma, u, v, color).round().clamp(0, 255).to(torch.uint8).transpose(0, 1)
    columns = _taps([box.width for box in boxes], [b.x0 - w.x0 for b, w in _pairs(boxes, windows)])
    rows = _taps([box.height for box in boxes], [b.y0 - w.y0 for b, w in _pairs(boxes, windows)])
    across = _along(rgb, columns.to(device), 3)
    both = _along(across, rows.to(device), 2)
    return ((both + _HALF) >> _BITS).clamp(0, 255).to(torch.uint8)


def _pairs(boxes: Sequence[Box], windows: Sequence[Window]) -> list[tuple[Box, Window]]:
    return list(zip(boxes, windows, strict=True))


def _luma(frames: Sequence[Frame], windows: Sequence[Window], high: int, wide: int) -> Tensor:
    """(B, high, wide) uint8; what a smaller window leaves is black and not looked at."""
    held = torch.zeros(len(frames), high, wide, dtype=torch.uint8)
    for n, (frame, window) in enumerate(zip(frames, windows, strict=True)):
        part = frame.y[window.y0 : window.y1, window.x0 : window.x1]
        held[n, : part.shape[0], : part.shape[1]] = part
    return held


def _chroma(frames: Sequence[Frame], windows: Sequence[Window], high: int, wide: int) -> Tensor:
    """(B, 2, high / 2 + 2, wide / 2 + 1) uint8: with a row above, one below, and a column beyond.

    At the plane's edges they repeat it.
    """
    held = torch.zeros(len(frames), 2, high // 2 + 2, wide // 2 + 1, dtype=torch.uint8)
    for n, (frame, window) in enumerate(zip(frames, windows, strict=True)):
        for k, plane in enumerate((frame.u, frame.v)):
            last_row, last_column = plane.shape[0] - 1, plane.shape[1] - 1
            top, end = window.y0 // 2 - 1, window.y1 // 2
            left, right = window.x0 // 2, window.x1 // 2
            part = plane[max(top, 0) : min(end, last_row) + 1, left : min(right, last_column) + 1]
            block = held[n, k, : end - top + 1, : right - left + 1]
            first = max(top, 0) - top
            block[first : first + part.shape[0], : part.shape[1]] = part
            if first:
                block[0, : part.shape[1]] = part[0]
            if end > last_row:
                block[-1, : part.shape[1]] = part[-1]
            if right > last_column:
                block[:, -1] = block[:, -2]
    return held


def _grown(chroma: Tensor) -> Tensor:
    """(B, 2, h + 2, w + 1) float to luma size, (B, 2, 2 h, 2 w); siting as in `planes`."""
    above, here, below = chroma[:, :, :-2], chroma[:, :, 1:-1], chroma[:, :, 2:]
    lines = torch.stack([above * 0.25 + here * 0.75, here * 0.75 + below * 0.25], dim=3)
    lines = lines.flatten(2, 3)
    west, east = lines[..., :-1], lines[..., 1:]
    return torch.stack([west, west * 0.5 + east * 0.5], dim=4).flatten(3, 4)


def _taps(sources: Sequence[int], leads: Sequence[int]) -> Tensor:
    """(B, 2, 256, 8) int64: places in the window, and weights."""
    return torch.stack([_axis(*pair) for pair in zip(sources, leads, strict=True)])


@lru_cache(maxsize=1024)
def _axis(source: int, lead: int) -> Tensor:
    index, weight = lanczos4_taps(source, SIDE)
    return torch.stack([index + lead, weight])


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
