"""Windows of many frames as one tensor, and back: a few steps for a batch instead of for a frame.

All windows of a batch have one size, so that nothing has to be cut to fit; a box that is smaller
lies somewhere inside its window. Copies of a whole batch are one step: each step of its own would
take the interpreter's lock, give it up, and wait for it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.batching.cuda import settle
from pipeline.planes import Window
from pipeline.types import Frame

Samples = NDArray[np.uint8]
_STEP = 16
"""Sides of windows are multiples of it, so that batches of a moving face share their taps."""
_PLANES = attrgetter("y"), attrgetter("u"), attrgetter("v")
_SCALES = (1, 2, 2)
"""Luma samples for one of each plane, along each axis."""


def windows_around(boxes: Sequence[Window], height: int, width: int) -> list[Window]:
    """One window for each box: even, inside the picture, of one size, the box at its upper left.

    Args:
        height: rows of the picture, even.
        width: columns of the picture, even.
    """
    outer = [box.even() for box in boxes]
    high = _side(max(window.y1 - window.y0 for window in outer), height)
    wide = _side(max(window.x1 - window.x0 for window in outer), width)
    corners = [(min(w.x0, width - wide), min(w.y0, height - high)) for w in outer]
    return [Window(x, y, x + wide, y + high) for x, y in corners]


def _side(least: int, most: int) -> int:
    return min(most, -(-least // _STEP) * _STEP)


def cut(frames: Sequence[Frame], windows: Sequence[Window], device: torch.device) -> list[Tensor]:
    """The windows of the frames' planes, (B, h, w) uint8 for each plane, on the device.

    Args:
        windows: one in each, all of one size.
        device: may still be copying when this returns; what comes after it on its stream waits.
    """
    made: list[Tensor] = []
    for number, scale in enumerate(_SCALES):
        parts = [
            part_of(plane, window, scale)
            for plane, window in zip(map(_PLANES[number], frames), windows, strict=True)
        ]
        held = staging((len(parts), *parts[0].shape), device)
        torch.stack(parts, out=held)
        made.append(held if device.type == "cpu" else held.to(device, non_blocking=True))
    return made


def pasted(
    frames: Sequence[Frame], windows: Sequence[Window], planes: Sequence[Tensor]
) -> list[Frame]:
    """New frames with other samples in their windows.

    Args:
        frames: B frames; they stay as they are.
        windows: one in each, all of one size.
        planes: (B, h, w) uint8 for each plane, in host memory.
    """
    blanks = [_blank(len(frames), frames[0], number) for number in range(len(_SCALES))]
    copies = [blank.unbind() for blank in blanks]
    wholes = [plane for get in _PLANES for plane in map(get, frames)]
    torch._foreach_copy_([plane for copy in copies for plane in copy], wholes)
    for blank, plane, scale in zip(blanks, planes, _SCALES, strict=True):
        _put(blank.numpy(), windows, plane.numpy(), scale)
    return [Frame(y, u, v, frame.index) for frame, y, u, v in zip(frames, *copies, strict=True)]


def to_host(planes: Sequence[Tensor]) -> list[Tensor]:
    """Copies of uint8 planes, of any shape, in host memory.

    When it returns, the device has finished with everything that was asked of it before.
    """
    device = planes[0].device
    if device.type == "cpu":
        return list(planes)
    held = [staging(tuple(plane.shape), device) for plane in planes]
    for here, plane in zip(held, planes, strict=True):
        here.copy_(plane, non_blocking=True)
    settle(str(device))
    return held


def brought(here: Tensor, device: torch.device) -> Tensor:
    """A host tensor of any shape on the device; what follows on its stream waits, not the host.

    `to` alone waits for all that was asked of the stream before, and keeps a processor busy.
    """
    if device.type == "cpu":
        return here
    held = staging(tuple(here.shape), device, here.dtype)
    held.copy_(here)
    return held.to(device, non_blocking=True)


def staging(
    shape: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.uint8
) -> Tensor:
    """Empty host memory of a shape, which the device can read while the host goes on."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def part_of(plane: Tensor, window: Window, scale: int = 1) -> Tensor:
    """(h / scale, w / scale) samples of an (H, W) plane inside a window of luma, in one step."""
    row, column = plane.stride()
    return plane.as_strided(
        ((window.y1 - window.y0) // scale, (window.x1 - window.x0) // scale),
        (row, column),
        plane.storage_offset() + window.y0 // scale * row + window.x0 // scale * column,
    )


def _blank(count: int, like: Frame, number: int) -> Tensor:
    return torch.empty((count, *_PLANES[number](like).shape), dtype=torch.uint8)


def _put(planes: Samples, windows: Sequence[Window], parts: Samples, scale: int) -> None:
    """Write (B, h, w) parts into planes; numpy's slices cost a third of what torch's views do."""
    for plane, window, part in zip(planes, windows, parts, strict=True):
        rows = slice(window.y0 // scale, window.y1 // scale)
        plane[rows, window.x0 // scale : window.x1 // scale] = part
