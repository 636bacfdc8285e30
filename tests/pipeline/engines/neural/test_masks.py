"""Masks and crops of a batch are those of single faces."""

from __future__ import annotations

import pytest
import torch

from pipeline.engines.musetalk.crops import crop_faces
from pipeline.engines.neural.boxes import Box
from pipeline.engines.neural.masks import MASK, soft_masks
from pipeline.planes import Window, read_rgb
from pipeline.types import Color
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.neural.given import FACES, boxed_meshes
from tests.pipeline.engines.resized import opencv_linear
from tests.pipeline.engines.single import crop, soft_mask


def test_masks_of_a_batch_follow_the_rule_of_one_face() -> None:
    meshes, boxes = boxed_meshes()
    masks = soft_masks(meshes, boxes)
    assert masks.shape == (len(FACES), MASK, MASK)
    for mesh, box, mask in zip(meshes, boxes, masks, strict=True):
        want = soft_mask(mesh, box).float()
        made = opencv_linear(mask, box.height, box.width).float()
        assert (made - want).abs().mean() < 4
        assert ((made - want).abs() > 64).float().mean() < 0.01
        assert (made[want == 0] < 16).all()


def test_mask_of_a_face_does_not_depend_on_its_company() -> None:
    meshes, boxes = boxed_meshes()
    together = soft_masks(meshes, boxes)
    for n, box in enumerate(boxes):
        assert torch.equal(soft_masks(meshes[n : n + 1], [box])[0], together[n])


def test_upper_half_of_the_face_is_never_painted() -> None:
    meshes, boxes = boxed_meshes()
    for box, mask in zip(boxes, soft_masks(meshes, boxes), strict=True):
        rows = mask.amax(1).nonzero()[:, 0]
        assert rows[0] > MASK * 0.35, box


@pytest.mark.parametrize("matrix", [1, 5])
def test_crops_of_a_batch_have_the_bytes_of_single_ones(matrix: int) -> None:
    color = Color(matrix, False, 1, 1)
    boxes = [
        Box(20, 30, 120, 150),
        Box(21, 31, 120, 153),
        Box(0, 0, 256, 256),
        Box(301, 201, 320, 256),
        Box(0, 1, 299, 256),
    ]
    frames = [synthetic.frame(n, 256, 320) for n in range(len(boxes))]
    for frame in frames:  # chroma that varies
        frame.u = (frame.y[::2, ::2] // 2 + 60).contiguous()
        frame.v = (200 - frame.y[::2, ::2] // 2).contiguous()
    made = crop_faces(frames, boxes, color, "cpu")
    for frame, box, face in zip(frames, boxes, made, strict=True):
        rgb = read_rgb(frame, Window(box.x0, box.y0, box.x1, box.y1), color)
        want = crop(rgb, Box(0, 0, box.width, box.height))
        assert (face.int() - want.int()).abs().max() <= 1
        assert (face != want).float().mean() < 0.001
