"""What MuseTalk keeps of a reference: boxes, latents and masks of every frame with a face."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit, rows_of
from pipeline.batching.batcher import Lane
from pipeline.batching.cuda import on_own_stream, settle
from pipeline.batching.row import Row, gather
from pipeline.engines.base import Reference
from pipeline.engines.meshes import MeshTrack, length, meshes_at, runs_of_meshes
from pipeline.engines.musetalk.boxes import face_boxes, points_68
from pipeline.engines.musetalk.crops import crop_faces
from pipeline.engines.musetalk.painter import LATENT, Painter
from pipeline.engines.neural.boxes import Box, box_parts, boxes_of
from pipeline.engines.neural.masks import MASK, soft_masks
from pipeline.errors import NoFace
from pipeline.rows import RowFile
from pipeline.types import Color, Frame, OnTick, Tick
from schemas.codes import Stage

CHUNK = 16
"""Frames that are cut out together."""


@dataclass(slots=True)
class Avatar:
    """A reference, prepared. Shared between jobs; nothing of it changes."""

    color: Color
    boxes: dict[int, Box]
    """By grid frame; frames without a usable face are missing."""
    track: MeshTrack
    latents: RowFile
    """(faces, 8, 32, 32) in a file, so that memory does not grow with the reference."""
    rows: dict[int, int]
    """Row of `latents` by grid frame."""
    masks: RowFile
    """(faces, 128, 128) uint8 (`masks.soft_masks`), beside the latents."""


def prepare(reference: Reference, painter: Painter, on_tick: OnTick) -> Avatar:
    """Read the reference once more and encode every face in it.

    Raises:
        NoFace: no frame has a face whose box lies inside the picture.
    """
    boxes = _boxes(reference)
    if not boxes:
        raise NoFace(
            f"none of the {length(reference.track)} frames shows a face whose box is usable",
            stage=Stage.TRACK,
        )
    made = _avatar(
        reference,
        boxes,
        RowFile.nameless(reference.scratch, LATENT, painter.dtype),
        RowFile.nameless(reference.scratch, (MASK, MASK), torch.uint8),
    )
    with on_own_stream(reference.device):
        _encode(reference, made, painter, on_tick)
    return made


def parts_of(avatar: Avatar) -> Parts:
    """What to keep of an avatar: boxes, latents and masks."""
    found = box_parts(avatar.boxes)
    found.rows["latents"] = avatar.latents
    found.rows["masks"] = avatar.masks
    return found


def restored(parts: Parts, reference: Reference, dtype: torch.dtype) -> Avatar:
    """The avatar of a reference from its parts.

    Raises:
        Unfit: they are not those of an avatar of this track.
    """
    video = reference.video
    boxes = boxes_of(parts, length(reference.track), video.height, video.width)
    if not boxes:
        raise Unfit("no boxes")
    latents = rows_of(parts, "latents", len(boxes), LATENT, dtype)
    masks = rows_of(parts, "masks", len(boxes), (MASK, MASK), torch.uint8)
    if not bool(reference.track.usable[list(boxes)].all()):
        raise Unfit("boxes of frames that have no face")
    return _avatar(reference, boxes, latents, masks)


def _avatar(
    reference: Reference, boxes: dict[int, Box], latents: RowFile, masks: RowFile
) -> Avatar:
    rows = {index: row for row, index in enumerate(boxes)}
    return Avatar(reference.video.color, boxes, reference.track, latents, rows, masks)


def _boxes(reference: Reference) -> dict[int, Box]:
    video = reference.video
    return {
        index: box
        for frames, meshes in runs_of_meshes(reference.track)
        for index, box in zip(
            frames, face_boxes(points_68(meshes), video.height, video.width), strict=True
        )
        if box is not None
    }


def _encode(reference: Reference, avatar: Avatar, painter: Painter, on_tick: OnTick) -> None:
    """Fill in latents and masks; while the device encodes some faces, the next are cut out."""
    frames = reference.frames(avatar.boxes)
    with painter.encode() as lane:
        while chunk := list(islice(frames, CHUNK)):
            waiting = lane.outstanding
            lane.submit(_seen(chunk, avatar, reference.device))
            _keep(lane, waiting, avatar.latents)
            on_tick(Tick("prepare", len(avatar.latents), len(avatar.boxes)))
        _keep(lane, lane.outstanding, avatar.latents)
        on_tick(Tick("prepare", len(avatar.latents), len(avatar.boxes)))


def _seen(frames: list[Frame], avatar: Avatar, device: str) -> list[Tensor]:
    """(3, 256, 256) uint8 RGB of each frame's box, complete on the device; draws their masks."""
    boxes = [avatar.boxes[frame.index] for frame in frames]
    points = meshes_at(avatar.track, [frame.index for frame in frames]).to(device)
    avatar.masks.write(len(avatar.masks), soft_masks(points, boxes).cpu())
    pictures = crop_faces(frames, boxes, avatar.color, device)
    settle(device)
    return list(pictures)


def _keep(lane: Lane[Tensor, Row], count: int, latents: RowFile) -> None:
    if count:
        made = gather([lane.take() for _ in range(count)])
        latents.write(len(latents), made.to("cpu", latents.dtype))
