"""What the tests of batches are given: windows, faces and meshes of several sizes and places."""

from __future__ import annotations

import torch

from pipeline.engines.musetalk.boxes import points_68
from pipeline.engines.neural.boxes import Box
from pipeline.engines.neural.compose import Placed
from pipeline.planes import Window
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.single import face_box

WINDOWS = [
    Window(20, 30, 120, 150),  # even
    Window(21, 31, 120, 152),  # odd origin
    Window(33, 10, 290, 201),  # larger than what the network paints
    Window(0, 0, 128, 128),  # exactly half of it
    Window(32, 0, 288, 256),  # exactly as large
    Window(301, 201, 320, 256),  # in the corner
]


def placed_faces(device: str = "cpu") -> tuple[list[Placed], torch.Tensor, torch.Tensor]:
    """Places in frames, (n, 3, 256, 256) uint8 pictures for them, and (n, 128, 128) uint8 masks."""
    generator = torch.Generator().manual_seed(7)
    placed = [
        Placed(synthetic.frame(n, 256, 320), window, 0.4 if n == 1 else 1.0)
        for n, window in enumerate(WINDOWS)
    ]
    masks = torch.randint(0, 256, (len(WINDOWS), 128, 128), generator=generator).to(torch.uint8)
    masks[:, :64] = 0
    faces = torch.randint(0, 256, (len(WINDOWS), 3, 256, 256), generator=generator).to(torch.uint8)
    return placed, faces.to(device), masks.to(device)


FACES = [(150, 115, 62), (161, 120, 80), (90, 100, 41), (200, 90, 55)]


def boxed_meshes() -> tuple[torch.Tensor, list[Box]]:
    """(n, 478, 3) meshes of `FACES`, and the box of each."""
    meshes = torch.stack([synthetic.mesh(*face) for face in FACES])
    boxes = [face_box(points_68(mesh), 240, 320) for mesh in meshes]
    return meshes, [box for box in boxes if box is not None]
