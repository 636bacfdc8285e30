"""Windows of many frames as RGB, in a few steps on the device: `planes.read_rgb` of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engines.windows import part_of, staging
from pipeline.planes import Window, rgb_of
from pipeline.types import Color, Frame


def windows_rgb(
    frames: Sequence[Frame], windows: Sequence[Window], color: Color, device: str
) -> Tensor:
    """`planes.read_rgb` of many windows of one size, even: (B, 3, h, w) uint8 on the device."""
    at = torch.device(device)
    luma = stacked([part_of(f.y, w) for f, w in zip(frames, windows, strict=True)], at)
    u, v = _grown(_chroma(frames, windows, at).float()).unbind(1)
    rgb = rgb_of(luma.float(), u, v, color).round().clamp(0, 255).to(torch.uint8)
    return rgb.transpose(0, 1)


def stacked(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """B host tensors of one shape as (B, …) on the device; what follows on its stream waits."""
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
    whole = stacked(parts, device)
    return whole.view(-1, 2, *whole.shape[1:])


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
