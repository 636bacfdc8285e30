"""What MuseTalk makes of a reference: boxes, latents and masks of every frame with a face."""

from __future__ import annotations

from itertools import islice

from torch import Tensor

from pipeline.batching.batcher import Lane
from pipeline.batching.cuda import on_host, settle
from pipeline.batching.row import Row, gather
from pipeline.batching.shared import Item
from pipeline.engines.base import Reference
from pipeline.engines.meshes import runs_of_meshes
from pipeline.engines.musetalk.boxes import face_boxes, points_68
from pipeline.engines.musetalk.crops import crop_faces
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.neural.avatar import Avatar, chunk_on, empty
from pipeline.engines.neural.boxes import Box
from pipeline.engines.neural.lost import refuse_infinite
from pipeline.rows import RowFile
from pipeline.types import Frame, OnTick, Tick


def prepare(reference: Reference, painter: Painter, on_tick: OnTick) -> Avatar:
    """Read the reference once more and encode every face in it.

    Raises:
        NoFace: no frame has a face whose box lies inside the picture.
    """
    made = empty(reference, _boxes(reference), painter.layout)
    _encode(reference, made, painter, on_tick)
    return made


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
    with painter.encode(reference.deadline) as lane:
        while chunk := list(islice(frames, chunk_on(reference.device))):
            waiting = lane.outstanding
            lane.submit(_seen(chunk, avatar, reference.device))
            _keep(lane, waiting, avatar.inputs)
            on_tick(Tick("prepare", len(avatar.inputs), len(avatar.boxes)))
        _keep(lane, lane.outstanding, avatar.inputs)
        on_tick(Tick("prepare", len(avatar.inputs), len(avatar.boxes)))


def _seen(frames: list[Frame], avatar: Avatar, device: str) -> list[tuple[Tensor]]:
    """(3, 256, 256) uint8 RGB of each frame's box, complete on the device; draws their masks."""
    boxes = avatar.draw_masks(frames, device)
    pictures = crop_faces(frames, boxes, avatar.color, device)
    settle(device)
    return [(picture,) for picture in pictures.unbind()]


def _keep(lane: Lane[Item, Row], count: int, latents: RowFile) -> None:
    if count:
        made = on_host(gather([lane.take() for _ in range(count)]))
        refuse_infinite(made)  # kept, they would fail every later job on this video
        latents.write(len(latents), made.to(latents.dtype))
