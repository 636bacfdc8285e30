"""What MuseTalk keeps of a reference: boxes and latents of every frame with a face."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit
from pipeline.batching.batcher import Lane
from pipeline.batching.cuda import settle
from pipeline.batching.row import Row, gather
from pipeline.engines.base import Reference
from pipeline.engines.meshes import MeshTrack, length, mesh_at
from pipeline.engines.musetalk.boxes import Box, box_parts, boxes_of, face_box, points_68
from pipeline.engines.musetalk.contour import soft_mask
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.musetalk.picture import SIDE, crop
from pipeline.engines.planes import Window, read_rgb
from pipeline.errors import NoFace
from pipeline.rows import RowFile
from pipeline.types import Color, Frame, OnTick, Tick
from schemas.codes import Stage

LATENT = (8, SIDE // 8, SIDE // 8)
_MASK_BYTES = 96 * 1024**2
"""Masks that stay drawn, in bytes: some 1,500 of a face of 250 px, a minute of reference."""


@dataclass(slots=True)
class Avatar:
    """A reference, prepared. Shared between jobs; nothing of it changes but the cache of masks."""

    color: Color
    boxes: dict[int, Box]
    """By grid frame; frames without a usable face are missing."""
    track: MeshTrack
    latents: RowFile
    """(faces, 8, 32, 32) in a file, so that memory does not grow with the reference."""
    rows: dict[int, int]
    """Row of `latents` by grid frame."""
    device: str
    _masks: OrderedDict[int, Tensor] = field(default_factory=OrderedDict)
    _mask_bytes: int = 0
    _drawing: threading.Lock = field(default_factory=threading.Lock)

    def mask(self, index: int) -> Tensor:
        """The soft mask of a grid frame inside its box, (box height, box width) uint8."""
        with self._drawing:
            held = self._masks.get(index)
        return self._drawn(index) if held is None else held

    def _drawn(self, index: int) -> Tensor:
        mesh = mesh_at(self.track, index)
        assert mesh is not None, "a box is made from a mesh"
        mask = soft_mask(mesh.to(self.device), self.boxes[index])
        settle(self.device)
        with self._drawing:
            if index not in self._masks:
                self._masks[index] = mask
                self._mask_bytes += mask.numel()
            while self._mask_bytes > _MASK_BYTES and len(self._masks) > 1:
                self._mask_bytes -= self._masks.popitem(last=False)[1].numel()
        return mask


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
    latents = RowFile.nameless(reference.scratch, LATENT, painter.dtype)
    _encode(reference, boxes, painter, latents, on_tick)
    return _avatar(reference, boxes, latents)


def parts_of(avatar: Avatar) -> Parts:
    """What to keep of an avatar: boxes and latents."""
    found = box_parts(avatar.boxes)
    found.rows["latents"] = avatar.latents
    return found


def restored(parts: Parts, reference: Reference, dtype: torch.dtype) -> Avatar:
    """The avatar of a reference from its parts.

    Raises:
        Unfit: they are not those of an avatar of this track.
    """
    video, latents = reference.video, parts.rows.get("latents")
    boxes = boxes_of(parts, length(reference.track), video.height, video.width)
    if latents is None or len(latents) != len(boxes) or not boxes:
        raise Unfit("latents of other frames than the boxes")
    if latents.shape != LATENT or latents.dtype != dtype:
        raise Unfit(f"latents {latents.shape} {latents.dtype}, not {LATENT} {dtype}")
    if not bool(reference.track.usable[list(boxes)].all()):
        raise Unfit("boxes of frames that have no face")
    return _avatar(reference, boxes, latents)


def _avatar(reference: Reference, boxes: dict[int, Box], latents: RowFile) -> Avatar:
    rows = {index: row for row, index in enumerate(boxes)}
    return Avatar(reference.video.color, boxes, reference.track, latents, rows, reference.device)


def _boxes(reference: Reference) -> dict[int, Box]:
    boxes: dict[int, Box] = {}
    for index in range(length(reference.track)):
        mesh = mesh_at(reference.track, index)
        if mesh is None:
            continue
        box = face_box(points_68(mesh), reference.video.height, reference.video.width)
        if box is not None:
            boxes[index] = box
    return boxes


def _encode(
    reference: Reference,
    boxes: dict[int, Box],
    painter: Painter,
    latents: RowFile,
    on_tick: OnTick,
) -> None:
    """Fill in the latents; while the device encodes some faces, the next are cut out."""
    frames = reference.frames(boxes)
    with painter.encode() as lane:
        while chunk := list(islice(frames, painter.limit)):
            waiting = lane.outstanding
            lane.submit(_crops(chunk, boxes, reference.video.color, reference.device))
            _keep(lane, waiting, latents)
            on_tick(Tick("prepare", len(latents), len(boxes)))
        _keep(lane, lane.outstanding, latents)
        on_tick(Tick("prepare", len(latents), len(boxes)))


def _keep(lane: Lane[Tensor, Row], count: int, latents: RowFile) -> None:
    if count:
        made = gather([lane.take() for _ in range(count)])
        latents.write(len(latents), made.to("cpu", latents.dtype))


def _crops(frames: list[Frame], boxes: dict[int, Box], color: Color, device: str) -> list[Tensor]:
    """(3, 256, 256) uint8 RGB of each frame's box, complete on the device."""
    crops = [_crop(frame, boxes[frame.index], color, device) for frame in frames]
    settle(device)
    return crops


def _crop(frame: Frame, box: Box, color: Color, device: str) -> Tensor:
    window = Window(box.x0, box.y0, box.x1, box.y1)
    rgb = read_rgb(frame, window, color, device)
    return crop(rgb, Box(0, 0, box.width, box.height))
