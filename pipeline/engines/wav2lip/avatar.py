"""What Wav2Lip makes of a reference: box, picture and mask of every frame with a face."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise

import torch
from torch import Tensor

from pipeline.batching.cuda import on_host
from pipeline.engines.base import Reference
from pipeline.engines.fitting import Stretch, fitted, taps_of
from pipeline.engines.meshes import MeshTrack, runs_of_meshes
from pipeline.engines.neural.avatar import Avatar, Layout, chunk_on, empty
from pipeline.engines.neural.boxes import Box
from pipeline.engines.neural.contour import FACE
from pipeline.engines.neural.reading import windows_rgb
from pipeline.engines.wav2lip.boxes import smoothed
from pipeline.engines.windows import windows_around
from pipeline.types import Color, Frame, OnTick, Tick

CHIN_MARGIN = 10
"""Pixels below the chin that the box takes in, as the original pads its detector's box."""


def prepare(reference: Reference, layout: Layout, on_tick: OnTick) -> Avatar:
    """Boxes of every frame with a usable face, smoothed within each unbroken run; what is inside.

    Raises:
        NoFace: no frame has one.
    """
    made = empty(reference, _boxes(reference), layout)
    frames = reference.frames(made.boxes)
    while chunk := list(islice(frames, chunk_on(reference.device))):
        boxes = made.draw_masks(chunk, reference.device)
        pictures = _pictures(chunk, boxes, made.color, layout.shape[-1], reference.device)
        made.inputs.write(len(made.inputs), on_host(pictures))
        on_tick(Tick("prepare", len(made.inputs), len(made.boxes)))
    return made


def _boxes(reference: Reference) -> dict[int, Box]:
    video = reference.video
    boxes: dict[int, Box] = {}
    for start, raw in _runs(reference.track):
        for n, edges in enumerate(smoothed(raw).round().to(torch.int64).tolist()):
            box = Box(*edges).clamped(video.height, video.width)
            if box.usable():
                boxes[start + n] = box
    return boxes


def _runs(track: MeshTrack) -> Iterator[tuple[int, Tensor]]:
    """Unbroken runs of faces: the first grid frame, and (n, 4) float boxes."""
    frames: list[int] = []
    parts: list[Tensor] = []
    for some, meshes in runs_of_meshes(track):
        frames += some
        parts.append(_faces(meshes))
    if not frames:
        return
    faces = torch.cat(parts)
    edges = [n for n in range(1, len(frames)) if frames[n] != frames[n - 1] + 1]
    for first, last in pairwise([0, *edges, len(frames)]):
        yield frames[first], faces[first:last]


def _faces(meshes: Tensor) -> Tensor:
    """Forehead to chin and cheek to cheek, with the margin below; (n, 4) x0, y0, x1, y1."""
    outlines = meshes[:, list(FACE)]
    low, high = outlines.amin(1), outlines.amax(1)
    high[:, 1] += CHIN_MARGIN
    return torch.cat([low, high], dim=1)


def _pictures(
    frames: list[Frame], boxes: list[Box], color: Color, side: int, device: str
) -> Tensor:
    """(B, 3, S, S) uint8 RGB: each box by OpenCV's linear resize."""
    inner = [box.window() for box in boxes]
    windows = windows_around(inner, frames[0].height, frames[0].width)
    rgb = windows_rgb(frames, windows, color, device)
    pairs = [
        (
            Stretch(box.x1 - box.x0, side, box.x0 - window.x0),
            Stretch(box.y1 - box.y0, side, box.y0 - window.y0),
        )
        for box, window in zip(inner, windows, strict=True)
    ]
    return fitted(rgb, taps_of([[pair] for pair in pairs], rgb.device)[0])
