"""The face box follows the landmarks as in training, and stays inside the picture."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.musetalk.boxes import (
    EXTRA_MARGIN,
    MESH_TO_68,
    landmark_boxes,
    points_68,
)
from pipeline.engines.neural.boxes import MIN_SIDE, Box, blend_square
from tests.pipeline.engines.single import face_box


def _face(x0: float, nose: float, x1: float, chin: float) -> torch.Tensor:
    points = torch.full((68, 2), (x0 + x1) / 2)
    points[:, 1] = nose
    points[0, 0], points[16, 0] = x0, x1
    points[8, 1] = chin
    return points


def test_box_reaches_as_far_above_the_nose_bridge_as_the_chin_below() -> None:
    faces = torch.stack([_face(100.9, 200.0, 180.2, 260.7), _face(100.0, 200.0, 180.0, 260.0)])
    assert landmark_boxes(faces) == [Box(100, 140, 180, 260)] * 2
    assert landmark_boxes(faces, shift=9) == [Box(100, 158, 180, 260)] * 2


def test_box_stays_inside_the_picture_instead_of_being_stretched() -> None:
    assert face_box(_face(-20, 200, 90, 260), 300, 400) == Box(0, 140, 90, 260 + EXTRA_MARGIN)
    assert face_box(_face(330, 200, 440, 260), 300, 400) == Box(330, 140, 400, 270)
    assert face_box(_face(100, 240, 180, 296), 300, 400) == Box(100, 184, 180, 300)


def test_face_outside_the_picture_has_no_box() -> None:
    assert face_box(_face(420, 200, 500, 260), 300, 400) is None
    assert face_box(_face(100, 100, 100, 100), 300, 400) is None


def test_mesh_gives_each_of_the_68_points_once_and_in_their_order() -> None:
    assert len(MESH_TO_68) == 68
    mesh = torch.arange(478.0).reshape(478, 1).expand(478, 3)
    assert points_68(mesh).shape == (68, 2)
    assert points_68(mesh)[:, 0].tolist() == list(MESH_TO_68)
    assert points_68(mesh.expand(4, 478, 3)).shape == (4, 68, 2)


side = st.integers(-300, 900)


@given(x0=side, nose=side, width=st.integers(1, 500), down=st.integers(1, 400))
def test_every_box_lies_inside_and_its_square_around_it(
    x0: int, nose: int, width: int, down: int
) -> None:
    box = face_box(_face(x0, nose, x0 + width, nose + down), 480, 640)
    if box is None:
        return
    assert 0 <= box.x0 < box.x1 <= 640
    assert 0 <= box.y0 < box.y1 <= 480
    assert min(box.width, box.height) >= MIN_SIDE
    square = blend_square(box)
    assert square.width == square.height
    assert square.x0 <= box.x0
    assert box.x1 <= square.x1
    assert square.y0 <= box.y0
    assert box.y1 <= square.y1
