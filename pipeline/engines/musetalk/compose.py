"""Painted faces back into their frames, a whole batch in a few steps on the device.

What `resize.opencv_linear` and `planes.write_rgb` say for one frame, for many at once and with the
same bytes: boxes differ in size by some pixels, so that each frame has its own taps and all are
filled up to the largest window of the batch. Only that window of the planes travels to the device
and back, as 8-bit samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engines.planes import Window, mix, planes_of
from pipeline.engines.resize import linear_taps
from pipeline.types import Color, Frame


@dataclass(frozen=True, slots=True)
class Placed:
    """One painted face and where it goes."""

    frame: Frame
    window: Window
    """The face box, inside the frame."""
    strength: float = 1.0
    """Of the mask, 0 to 1."""


def compose(placed: Sequence[Placed], faces: Tensor, masks: Tensor, color: Color) -> list[Frame]:
    """Fit each face and its mask to its window and mix it into its frame.

    Args:
        placed: B frames; they stay as they are.
        faces: (B, 3, S, S) uint8 RGB on the device.
        masks: (B, M, M) uint8 on the device: 0 keeps the frame's sample, 255 takes the face's.
        color: how the planes are to be read.

    Returns:
        New frames. A luma sample where the fitted mask is 0, and a chroma sample of four such luma
        samples, are bit-identical.
    """
    outer = [one.window.even() for one in placed]
    high = max(window.y1 - window.y0 for window in outer)
    wide = max(window.x1 - window.x0 for window in outer)
    above = [
        plane.round().clamp(0, 255).to(torch.uint8)
        for plane in planes_of(_fitted(placed, outer, faces, high, wide).float(), color)
    ]
    weights = _weights(placed, outer, _fitted(placed, outer, masks.unsqueeze(1), high, wide))
    below = _cut(placed, outer, high, wide, faces.device)
    mixed = [
        mix(plane, over, weight)
        for plane, over, weight in zip(
            below, above, (weights[0], weights[1], weights[1]), strict=True
        )
    ]
    return _pasted(placed, outer, _to_host(mixed))


def _fitted(
    placed: Sequence[Placed], outer: Sequence[Window], faces: Tensor, high: int, wide: int
) -> Tensor:
    """(B, C, high, wide) uint8: `opencv_linear` of each face; beyond its box its edge goes on."""
    channels, size = faces.shape[1], faces.shape[-1]
    columns, rows = [], []
    for one, window in zip(placed, outer, strict=True):
        inner = one.window
        columns.append(_axis(size, inner.x1 - inner.x0, inner.x0 - window.x0, wide, closed=True))
        rows.append(_axis(size, inner.y1 - inner.y0, inner.y0 - window.y0, high, closed=False))
    across = torch.stack(columns).to(faces.device)  # (B, 2, wide, 2): indices, weights
    down = torch.stack(rows).to(faces.device)
    batch = len(placed)
    index = across[:, 0].reshape(batch, 1, 1, -1).expand(-1, channels, size, -1)
    taken = faces.gather(3, index).to(torch.int32).view(batch, channels, size, wide, 2)
    weight = across[:, 1].to(torch.int32).view(batch, 1, 1, wide, 2)
    lines = (taken * weight).sum(4, dtype=torch.int32) >> 4
    index = down[:, 0].reshape(batch, 1, -1, 1).expand(-1, channels, -1, wide)
    pairs = lines.gather(2, index).view(batch, channels, high, 2, wide)
    weight = down[:, 1].to(torch.int32).view(batch, 1, high, 2, 1)
    upper, lower = ((pairs * weight) >> 16).unbind(3)
    return ((upper + lower + 2) >> 2).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=2048)  # the boxes of a face differ by some pixels: the same ones come again
def _axis(source: int, target: int, lead: int, full: int, *, closed: bool) -> Tensor:
    """(2, full, 2) int64: taps of one axis, `lead` repeated ones before, and so on to `full`."""
    taps = torch.stack(linear_taps(source, target, closed=closed))
    place = (torch.arange(full) - lead).clamp(0, target - 1)
    return taps[:, place]


def _weights(
    placed: Sequence[Placed], outer: Sequence[Window], fitted: Tensor
) -> tuple[Tensor, Tensor]:
    """(B, high, wide) uint8 for luma, (B, high/2, wide/2) int32 for chroma; 0 beyond the box."""
    batch, _, high, wide = fitted.shape
    edges, strengths = [], []
    for one, window in zip(placed, outer, strict=True):
        inner = one.window
        edges.append([inner.y0 - window.y0, inner.y1 - window.y0])
        edges.append([inner.x0 - window.x0, inner.x1 - window.x0])
        strengths.append(one.strength)
    edge = torch.tensor(edges, device=fitted.device).view(batch, 2, 2, 1)
    rows = torch.arange(high, device=fitted.device)
    columns = torch.arange(wide, device=fitted.device)
    inside = ((rows >= edge[:, 0, 0]) & (rows < edge[:, 0, 1])).unsqueeze(2)
    inside = inside & ((columns >= edge[:, 1, 0]) & (columns < edge[:, 1, 1])).unsqueeze(1)
    share = torch.tensor(strengths, device=fitted.device).view(batch, 1, 1)
    soft = (fitted[:, 0].float() * share * inside).round().to(torch.uint8)
    pairs = soft.to(torch.int32).view(batch, high // 2, 2, wide // 2, 2)
    return soft, (pairs.sum(dim=(2, 4), dtype=torch.int32) + 2) // 4


def _cut(
    placed: Sequence[Placed], outer: Sequence[Window], high: int, wide: int, device: torch.device
) -> list[Tensor]:
    """The windows of the frames' planes, (B, h, w) uint8 each, on the device."""
    planes: list[Tensor] = []
    for number, scale in ((0, 1), (1, 2), (2, 2)):
        held = _staging((len(placed), high // scale, wide // scale), device)
        for n, (one, window) in enumerate(zip(placed, outer, strict=True)):
            inside = _inside(_plane(one.frame, number), window, scale)
            held[n, : inside.shape[0], : inside.shape[1]] = inside
        planes.append(held.to(device, non_blocking=True))
    return planes


def _pasted(
    placed: Sequence[Placed], outer: Sequence[Window], mixed: Sequence[Tensor]
) -> list[Frame]:
    made: list[Frame] = []
    for n, (one, window) in enumerate(zip(placed, outer, strict=True)):
        planes = [_plane(one.frame, number).clone() for number in range(3)]
        for plane, part, scale in zip(planes, mixed, (1, 2, 2), strict=True):
            inside = _inside(plane, window, scale)
            inside.copy_(part[n, : inside.shape[0], : inside.shape[1]])
        made.append(replace(one.frame, y=planes[0], u=planes[1], v=planes[2]))
    return made


def _to_host(planes: Sequence[Tensor]) -> list[Tensor]:
    """Copies in host memory; the device has finished with everything before when it returns."""
    device = planes[0].device
    if device.type == "cpu":
        return list(planes)
    held = [_staging(tuple(plane.shape), device) for plane in planes]
    for here, plane in zip(held, planes, strict=True):
        here.copy_(plane, non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return held


def _staging(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Host memory that the device can read while the host goes on."""
    return torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")


def _plane(frame: Frame, number: int) -> Tensor:
    return (frame.y, frame.u, frame.v)[number]


def _inside(plane: Tensor, window: Window, scale: int) -> Tensor:
    return plane[window.y0 // scale : window.y1 // scale, window.x0 // scale : window.x1 // scale]
