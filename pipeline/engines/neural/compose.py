"""Painted faces back into their frames, a whole batch in a few steps on the device.

Linear resizing as OpenCV does it, then `planes.mix`, with the bytes that one frame alone has: boxes
differ in size by some pixels, so that each frame has its own taps, over a window of one size for
the batch. Only that window of the planes travels to the device and back, as 8-bit samples, and the
taps of all frames as one tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.engines.fitting import Stretch, Taps, fitted, taps_of
from pipeline.engines.neural.lost import brightest, refuse_lost
from pipeline.engines.windows import brought, cut, pasted, to_host, windows_around
from pipeline.planes import Window, mix, planes_of
from pipeline.types import Color, Frame


class Placed(NamedTuple):
    """One painted face and where it goes."""

    frame: Frame
    window: Window
    """The face box, inside the frame."""
    strength: float = 1.0
    """Of the mask, 0 to 1."""


def compose(placed: Sequence[Placed], faces: Tensor, masks: Tensor, color: Color) -> list[Frame]:
    """Fit each face and its mask to its window and mix it into its frame.

    Args:
        placed: B frames of one size; they stay as they are.
        faces: (B, 3, S, S) uint8 RGB on the device.
        masks: (B, M, M) uint8 on the device: 0 keeps the frame's sample, 255 takes the face's.

    Raises:
        EngineFailed: a face is none (`neural.lost`).

    Returns:
        New frames. A luma sample where the fitted mask is 0, and a chroma sample of four such luma
        samples, are bit-identical.
    """
    frames = [one.frame for one in placed]
    windows = windows_around([one.window for one in placed], frames[0].height, frames[0].width)
    device = faces.device
    below = cut(frames, windows, device)
    of_faces, of_masks = _taps(placed, windows, faces.shape[-1], masks.shape[-1], device)
    above = planes_of(fitted(faces, of_faces).float(), color)
    soft = fitted(masks.unsqueeze(1), of_masks)[:, 0]
    shares = _shares(placed, device)
    if shares is not None:
        soft = (soft.float() * shares).round().to(torch.uint8)
    weights = (soft, _of_chroma(soft))
    mixed = [
        mix(plane, over.round().clamp(0, 255).to(torch.uint8), weights[min(number, 1)])
        for number, (plane, over) in enumerate(zip(below, above, strict=True))
    ]
    *planes, most = to_host([*mixed, brightest(faces)])
    refuse_lost(most)
    return pasted(frames, windows, planes)


def _taps(
    placed: Sequence[Placed],
    windows: Sequence[Window],
    face: int,
    mask: int,
    device: torch.device,
) -> list[Taps]:
    """From faces and from masks of such sides to every window; masks end with their boxes."""
    wide, high = windows[0].x1 - windows[0].x0, windows[0].y1 - windows[0].y0
    pictures = []
    for one, window in zip(placed, windows, strict=True):
        x0, y0, x1, y1 = one.window
        across, down = (x1 - x0, 0, x0 - window.x0, wide), (y1 - y0, 0, y0 - window.y0, high)
        pictures.append(
            (
                (Stretch(face, *across), Stretch(face, *down)),
                (Stretch(mask, *across, dark=True), Stretch(mask, *down, dark=True)),
            )
        )
    return taps_of(pictures, device)


def _shares(placed: Sequence[Placed], device: torch.device) -> Tensor | None:
    """(B, 1, 1) strengths; None where all are whole, as nearly always."""
    if all(one.strength == 1.0 for one in placed):
        return None
    strengths = torch.tensor([one.strength for one in placed])
    return brought(strengths, device).view(-1, 1, 1)


def _of_chroma(soft: Tensor) -> Tensor:
    """(B, high/2, wide/2) int32: means of (B, high, wide) uint8."""
    batch, high, wide = soft.shape
    pairs = soft.to(torch.int32).view(batch, high // 2, 2, wide // 2, 2)
    return (pairs.sum(dim=(2, 4), dtype=torch.int32) + 2) // 4
