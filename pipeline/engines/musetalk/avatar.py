"""What MuseTalk keeps of a reference: boxes, meshes and latents of every frame with a face."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from pipeline.engines.base import Reference
from pipeline.engines.meshes import length, mesh_at
from pipeline.engines.musetalk.boxes import Box, face_box, points_68
from pipeline.engines.musetalk.contour import soft_mask
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.musetalk.picture import SIDE, crop
from pipeline.engines.planes import Window, read_rgb
from pipeline.errors import NoFace
from pipeline.types import Color, Frame, OnTick, Tick
from schemas.codes import Stage

LATENT = (8, SIDE // 8, SIDE // 8)
_MASKS = 64
"""Masks that stay drawn: a reference that runs forth and back needs its last ones again."""


@dataclass(slots=True)
class Avatar:
    """A reference, prepared. Shared between jobs; nothing of it changes but the cache of masks."""

    color: Color
    boxes: dict[int, Box]
    """By grid frame; frames without a usable face are missing."""
    meshes: dict[int, Tensor]
    """(478, 2) pixels, by grid frame."""
    latents: Tensor
    """(faces, 8, 32, 32) in a file, so that memory does not grow with the reference."""
    rows: dict[int, int]
    """Row of `latents` by grid frame."""
    device: str
    _masks: OrderedDict[int, Tensor] = field(default_factory=OrderedDict)

    def mask(self, index: int) -> Tensor:
        """The soft mask of a grid frame inside its box, (box height, box width) uint8."""
        held = self._masks.get(index)
        if held is None:
            held = soft_mask(self.meshes[index].to(self.device), self.boxes[index])
            self._masks[index] = held
            while len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return held


def prepare(reference: Reference, painter: Painter, on_tick: OnTick) -> Avatar:
    """Read the reference once more and encode every face in it.

    Raises:
        NoFace: no frame has a face whose box lies inside the picture.
    """
    video = reference.video
    boxes, meshes = _geometry(reference)
    if not boxes:
        raise NoFace(
            f"none of the {length(reference.track)} frames shows a face whose box is usable",
            stage=Stage.TRACK,
        )
    latents = _file_backed(reference.scratch, (len(boxes), *LATENT), painter.dtype)
    rows = {index: row for row, index in enumerate(boxes)}
    frames = reference.frames(boxes)
    done = 0
    while chunk := list(islice(frames, painter.batch)):
        crops = [_crop(frame, boxes[frame.index], video.color, reference.device) for frame in chunk]
        latents[done : done + len(chunk)] = painter.latents(torch.stack(crops))
        done += len(chunk)
        on_tick(Tick("prepare", done, len(boxes)))
    return Avatar(video.color, boxes, meshes, latents, rows, reference.device)


def _geometry(reference: Reference) -> tuple[dict[int, Box], dict[int, Tensor]]:
    boxes: dict[int, Box] = {}
    meshes: dict[int, Tensor] = {}
    for index, mesh in _faces(reference):
        box = face_box(points_68(mesh), reference.video.height, reference.video.width)
        if box is not None:
            boxes[index], meshes[index] = box, mesh
    return boxes, meshes


def _faces(reference: Reference) -> Iterator[tuple[int, Tensor]]:
    for index in range(length(reference.track)):
        mesh = mesh_at(reference.track, index)
        if mesh is not None:
            yield index, mesh


def _crop(frame: Frame, box: Box, color: Color, device: str) -> Tensor:
    window = Window(box.x0, box.y0, box.x1, box.y1)
    rgb = read_rgb(frame, window, color, device)
    return crop(rgb, Box(0, 0, box.width, box.height))


def _file_backed(folder: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor in a nameless file of the job's scratch folder; it goes with the last reference."""
    count = 1
    for size in shape:
        count *= size
    with tempfile.NamedTemporaryFile(dir=folder, prefix="latents-") as file:
        file.truncate(count * dtype.itemsize)
        flat = torch.from_file(file.name, shared=True, size=count, dtype=dtype)
    return flat.reshape(shape)
