"""What Wav2Lip keeps of a reference: box, picture and mask of every frame with a face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit, rows_of
from pipeline.batching.cuda import on_own_stream
from pipeline.engines.base import Reference
from pipeline.engines.fitting import Stretch, fitted, taps_of
from pipeline.engines.meshes import MeshTrack, length, mesh_at, meshes_at
from pipeline.engines.neural.boxes import Box, box_parts, boxes_of
from pipeline.engines.neural.contour import FACE
from pipeline.engines.neural.masks import MASK, soft_masks
from pipeline.engines.neural.reading import windows_rgb
from pipeline.engines.planes import Window
from pipeline.engines.wav2lip.boxes import smoothed
from pipeline.engines.windows import windows_around
from pipeline.errors import NoFace
from pipeline.rows import RowFile
from pipeline.types import Color, Frame, OnTick, Tick
from schemas.codes import Stage

CHIN_MARGIN = 10
"""Pixels below the chin that the box takes in, as the original pads its detector's box."""
CHUNK = 16
"""Frames that are cut out together."""


@dataclass(slots=True)
class Avatar:
    """A reference, prepared. Shared between jobs; nothing of it changes."""

    color: Color
    boxes: dict[int, Box]
    """By grid frame; frames without a usable face are missing."""
    track: MeshTrack
    pictures: RowFile
    """(faces, 3, S, S) uint8 RGB in a file, so that memory does not grow with the reference."""
    masks: RowFile
    """(faces, 128, 128) uint8 (`masks.soft_masks`)."""
    rows: dict[int, int]
    """Row of `pictures` and `masks` by grid frame."""


def prepare(reference: Reference, side: int, on_tick: OnTick) -> Avatar:
    """Boxes of every frame with a usable face, smoothed within each unbroken run; what is inside.

    Raises:
        NoFace: no frame has one.
    """
    boxes = _boxes(reference)
    if not boxes:
        raise NoFace(
            f"none of the {length(reference.track)} frames shows a usable face", stage=Stage.TRACK
        )
    pictures = RowFile.nameless(reference.scratch, (3, side, side), torch.uint8)
    masks = RowFile.nameless(reference.scratch, (MASK, MASK), torch.uint8)
    made = _avatar(reference, boxes, pictures, masks)
    frames = reference.frames(boxes)
    with on_own_stream(reference.device):
        while chunk := list(islice(frames, CHUNK)):
            _keep(made, chunk, side, reference.device)
            on_tick(Tick("prepare", len(pictures), len(boxes)))
    return made


def parts_of(avatar: Avatar) -> Parts:
    """What to keep of an avatar: boxes, pictures and masks."""
    found = box_parts(avatar.boxes)
    found.rows["pictures"] = avatar.pictures
    found.rows["masks"] = avatar.masks
    return found


def restored(parts: Parts, reference: Reference, side: int) -> Avatar:
    """The avatar of a reference from its parts.

    Raises:
        Unfit: they are not those of an avatar of this track.
    """
    video, track = reference.video, reference.track
    boxes = boxes_of(parts, length(track), video.height, video.width)
    if not boxes or not bool(track.usable[list(boxes)].all()):
        raise Unfit("boxes of frames that have no face")
    pictures = rows_of(parts, "pictures", len(boxes), (3, side, side), torch.uint8)
    masks = rows_of(parts, "masks", len(boxes), (MASK, MASK), torch.uint8)
    return _avatar(reference, boxes, pictures, masks)


def _avatar(
    reference: Reference, boxes: dict[int, Box], pictures: RowFile, masks: RowFile
) -> Avatar:
    rows = {index: row for row, index in enumerate(boxes)}
    return Avatar(reference.video.color, boxes, reference.track, pictures, masks, rows)


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
    run: list[Tensor] = []
    for index in range(length(track) + 1):
        mesh = mesh_at(track, index)
        if mesh is not None:
            run.append(_face(mesh))
        elif run:
            yield index - len(run), torch.stack(run)
            run = []


def _face(mesh: Tensor) -> Tensor:
    """Forehead to chin and cheek to cheek, with the margin below; (4,) x0, y0, x1, y1."""
    outline = mesh[list(FACE)]
    low, high = outline.min(dim=0).values, outline.max(dim=0).values
    return torch.stack([low[0], low[1], high[0], high[1] + CHIN_MARGIN])


def _keep(avatar: Avatar, frames: list[Frame], side: int, device: str) -> None:
    boxes = [avatar.boxes[frame.index] for frame in frames]
    points = meshes_at(avatar.track, [frame.index for frame in frames]).to(device)
    avatar.masks.write(len(avatar.masks), soft_masks(points, boxes).cpu())
    pictures = _pictures(frames, boxes, avatar.color, side, device)
    avatar.pictures.write(len(avatar.pictures), pictures.cpu())


def _pictures(
    frames: list[Frame], boxes: list[Box], color: Color, side: int, device: str
) -> Tensor:
    """(B, 3, S, S) uint8 RGB: each box by OpenCV's linear resize."""
    inner = [Window(box.x0, box.y0, box.x1, box.y1) for box in boxes]
    windows = windows_around(inner, frames[0].height, frames[0].width)
    rgb = windows_rgb(frames, windows, color, device)
    axes = [
        (
            Stretch(box.x1 - box.x0, side, box.x0 - window.x0),
            Stretch(box.y1 - box.y0, side, box.y0 - window.y0),
        )
        for box, window in zip(inner, windows, strict=True)
    ]
    return fitted(rgb, taps_of(axes, rgb.device))
