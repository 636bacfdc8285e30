"""What MuseTalk keeps of a reference: boxes, meshes and latents of every frame with a face."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from pipeline.batching.batcher import Lane
from pipeline.batching.cuda import settle
from pipeline.batching.row import Row, gather
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
_MASK_BYTES = 96 * 1024**2
"""Masks that stay drawn, in bytes: some 1,500 of a face of 250 px, a minute of reference."""


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
    _mask_bytes: int = 0
    _drawing: threading.Lock = field(default_factory=threading.Lock)

    def mask(self, index: int) -> Tensor:
        """The soft mask of a grid frame inside its box, (box height, box width) uint8."""
        with self._drawing:
            held = self._masks.get(index)
        return self._drawn(index) if held is None else held

    def _drawn(self, index: int) -> Tensor:
        mask = soft_mask(self.meshes[index].to(self.device), self.boxes[index])
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
    video = reference.video
    boxes, meshes = _geometry(reference)
    if not boxes:
        raise NoFace(
            f"none of the {length(reference.track)} frames shows a face whose box is usable",
            stage=Stage.TRACK,
        )
    latents = _file_backed(reference.scratch, (len(boxes), *LATENT), painter.dtype)
    rows = {index: row for row, index in enumerate(boxes)}
    _encode(reference, boxes, painter, latents, on_tick)
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


def _encode(
    reference: Reference,
    boxes: dict[int, Box],
    painter: Painter,
    latents: Tensor,
    on_tick: OnTick,
) -> None:
    """Fill in the latents; while the device encodes some faces, the next are cut out."""
    frames = reference.frames(boxes)
    done = 0
    with painter.encode() as lane:
        while chunk := list(islice(frames, painter.limit)):
            waiting = lane.outstanding
            lane.submit(_crops(chunk, boxes, reference.video.color, reference.device))
            done += _keep(lane, waiting, latents[done:], painter.dtype)
            on_tick(Tick("prepare", done, len(boxes)))
        done += _keep(lane, lane.outstanding, latents[done:], painter.dtype)
        on_tick(Tick("prepare", done, len(boxes)))


def _keep(lane: Lane[Tensor, Row], count: int, latents: Tensor, dtype: torch.dtype) -> int:
    if count:
        latents[:count] = gather([lane.take() for _ in range(count)]).to("cpu", dtype)
    return count


def _crops(frames: list[Frame], boxes: dict[int, Box], color: Color, device: str) -> list[Tensor]:
    """(3, 256, 256) uint8 RGB of each frame's box, complete on the device."""
    crops = [_crop(frame, boxes[frame.index], color, device) for frame in frames]
    settle(device)
    return crops


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
