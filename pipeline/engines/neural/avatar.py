"""What a neural engine keeps of a reference: box, mask and the network's input of every face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pipeline.avatars.parts import Parts, Unfit, rows_of
from pipeline.batching.cuda import is_cuda, on_host
from pipeline.engines.base import Reference
from pipeline.engines.meshes import MeshTrack, length, meshes_at
from pipeline.engines.neural.boxes import Box, box_parts, boxes_of
from pipeline.engines.neural.masks import MASK, soft_masks
from pipeline.engines.windows import brought
from pipeline.errors import NoFace
from pipeline.rows import RowFile
from pipeline.types import Color, Frame
from schemas.codes import Stage

_CHUNK, _GPU_CHUNK = 16, 32


@dataclass(frozen=True, slots=True)
class Layout:
    """One face's input of a network, as it is kept."""

    name: str
    """Of the rows in a kept file."""
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(slots=True)
class Avatar:
    """A reference, prepared. Shared between jobs; nothing of it changes."""

    color: Color
    boxes: Mapping[int, Box]
    """By grid frame; frames without a usable face are missing."""
    track: MeshTrack
    inputs: RowFile
    """(faces, ...) as the layout says; in a file: memory does not grow with the reference."""
    masks: RowFile
    """(faces, 128, 128) uint8 (`masks.soft_masks`)."""
    rows: Mapping[int, int]
    """Row of `inputs` and `masks` by grid frame."""

    def draw_masks(self, frames: list[Frame], device: str) -> list[Box]:
        """Append the masks of the next frames; their boxes."""
        boxes = [self.boxes[frame.index] for frame in frames]
        meshes = meshes_at(self.track, [frame.index for frame in frames])
        points = brought(meshes, torch.device(device))
        self.masks.write(len(self.masks), on_host(soft_masks(points, boxes)))
        return boxes


def chunk_on(device: str) -> int:
    """Frames that are cut out together: more on a GPU, where the number of steps is what costs."""
    return _GPU_CHUNK if is_cuda(device) else _CHUNK


def empty(reference: Reference, boxes: Mapping[int, Box], layout: Layout) -> Avatar:
    """An avatar with boxes alone; its files have no name and leave nothing behind.

    Raises:
        NoFace: there is no box.
    """
    if not boxes:
        raise NoFace(
            f"none of the {length(reference.track)} frames shows a usable face", stage=Stage.TRACK
        )
    inputs = RowFile.nameless(reference.scratch, layout.shape, layout.dtype)
    masks = RowFile.nameless(reference.scratch, (MASK, MASK), torch.uint8)
    return _avatar(reference, boxes, inputs, masks)


def parts_of(avatar: Avatar, layout: Layout) -> Parts:
    """What to keep of an avatar: boxes, inputs and masks; the rest is the track's."""
    found = box_parts(avatar.boxes)
    found.rows[layout.name] = avatar.inputs
    found.rows["masks"] = avatar.masks
    return found


def restored(parts: Parts, reference: Reference, layout: Layout) -> Avatar:
    """The avatar of a reference from its parts; its rows stay in their file.

    Raises:
        Unfit: they are not those of an avatar of this track.
    """
    video, track = reference.video, reference.track
    boxes = boxes_of(parts, length(track), video.height, video.width)
    if not boxes or not bool(track.usable[list(boxes)].all()):
        raise Unfit("boxes of frames that have no face, or none")
    inputs = rows_of(parts, layout.name, len(boxes), layout.shape, layout.dtype)
    masks = rows_of(parts, "masks", len(boxes), (MASK, MASK), torch.uint8)
    return _avatar(reference, boxes, inputs, masks)


def _avatar(
    reference: Reference, boxes: Mapping[int, Box], inputs: RowFile, masks: RowFile
) -> Avatar:
    rows = {index: row for row, index in enumerate(boxes)}
    return Avatar(reference.video.color, boxes, reference.track, inputs, masks, rows)
