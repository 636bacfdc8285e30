"""Between the planes of a frame and the RGB pictures that networks see.

Only a window around the face is converted. What comes back is mixed into the planes by a mask;
where the mask is zero, no sample changes.

Chroma is sited as in H.264's default: on the left luma column of each pair, between its two rows
(ITU-T H.264 annex E, chroma_sample_loc_type 0). Matrices: ITU-T H.273 table 4.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.types import Color, Frame

_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114)}
_WEIGHTS |= {7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT709 = _WEIGHTS[1]


class Window(NamedTuple):
    """Half-open rectangle inside a frame, whole pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    def even(self) -> Window:
        """The smallest rectangle around it that cuts chroma samples nowhere."""
        return Window(
            self.x0 // 2 * 2, self.y0 // 2 * 2, -(-self.x1 // 2) * 2, -(-self.y1 // 2) * 2
        )


def read_rgb(frame: Frame, window: Window, color: Color) -> Tensor:
    """A window of a frame, inside it, as (3, H, W) uint8 RGB."""
    y = frame.y[window.y0 : window.y1, window.x0 : window.x1].float()
    u, v = (_upsampled(plane, window) for plane in (frame.u, frame.v))
    return rgb_of(y, u, v, color).round().clamp(0, 255).to(torch.uint8)


def rgb_of(y: Tensor, u: Tensor, v: Tensor, color: Color) -> Tensor:
    """(3, H, W) float RGB, not clamped, of (H, W) samples; all on the scale 0 to 255."""
    kr, kb = _WEIGHTS.get(color.matrix, _BT709)
    if color.full_range:
        luma, cb, cr = y, u - 128.0, v - 128.0
    else:
        luma = (y - 16.0) * (255 / 219)
        cb, cr = (u - 128.0) * (255 / 224), (v - 128.0) * (255 / 224)
    red = luma + 2 * (1 - kr) * cr
    blue = luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return torch.stack([red, green, blue])


def mix(below: Tensor, above: Tensor, weight: Tensor) -> Tensor:
    """(..., H, W) uint8: `below` at weight 0, `above` at 255; Pillow's rounding between."""
    w = weight.to(torch.int32)
    total = below.to(torch.int32) * (255 - w) + above.to(torch.int32) * w + 128
    return ((total + (total >> 8)) >> 8).to(torch.uint8)


def planes_of(rgb: Tensor, color: Color) -> tuple[Tensor, Tensor, Tensor]:
    """Float planes, not clamped, of (..., 3, H, W) float RGB, 0 to 255, of an even window."""
    kr, kb = _WEIGHTS.get(color.matrix, _BT709)
    red, green, blue = rgb.unbind(-3)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if color.full_range:
        return luma, _downsampled(cb) + 128.0, _downsampled(cr) + 128.0
    scale = 224 / 255
    return (
        luma * (219 / 255) + 16.0,
        _downsampled(cb) * scale + 128.0,
        _downsampled(cr) * scale + 128.0,
    )


def _upsampled(plane: Tensor, window: Window) -> Tensor:
    """A window's chroma at luma size, float; the plane's edge is repeated."""
    high, wide = plane.shape
    rows = torch.arange(window.y0, window.y1)
    columns = torch.arange(window.x0, window.x1)
    upper, left = torch.div(rows - 1, 2, rounding_mode="floor"), columns // 2
    down = torch.where(rows % 2 == 1, 0.25, 0.75).unsqueeze(1)
    right = 0.5 * (columns % 2)
    first, last = int(upper[0].clamp(0)), min(int(upper[-1]) + 2, high)
    begin, end = int(left[0]), min(int(left[-1]) + 2, wide)
    part = plane[first:last, begin:end].float()
    high, wide = part.shape
    a = part[(upper - first).clamp(0, high - 1)]
    b = part[(upper - first + 1).clamp(0, high - 1)]
    lines = a * (1 - down) + b * down
    west = lines[:, (left - begin).clamp(0, wide - 1)]
    east = lines[:, (left - begin + 1).clamp(0, wide - 1)]
    return west * (1 - right) + east * right


def _downsampled(full: Tensor) -> Tensor:
    """To half the size: 1-2-1 across the left column of each pair, mean of its rows."""
    wide = torch.cat([full[..., :1], full, full[..., -1:]], dim=-1)
    across = (wide[..., 0:-2:2] + 2 * wide[..., 1:-1:2] + wide[..., 2::2]) / 4
    return (across[..., 0::2, :] + across[..., 1::2, :]) / 2
