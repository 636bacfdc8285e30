"""Frames between two looks: left out where their neighbours explain them, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.faces.appearance import ROW
from pipeline.faces.between import between, key_places, unexplained
from pipeline.faces.follower import Follower
from pipeline.faces.mesh import POINTS, Meshes
from pipeline.faces.store import PointStore
from pipeline.types import Frame
from tests.pipeline.faces.test_motion import FACE, mesh, picture

COUNT = 16
BLINK = 6


def blinking(index: int) -> Frame:
    """A face that is still but for a dark line in one frame."""
    frame = picture(index, 200, 200)
    if index == BLINK:
        frame.y[215:222, 180:220] = 20
    return frame


def test_a_batch_is_looked_at_in_steps_and_at_its_end() -> None:
    assert key_places(16, follows=True) == [3, 7, 11, 15]
    assert key_places(6, follows=False) == [0, 4, 5]
    assert key_places(1, follows=True) == [0]


def test_a_moment_that_its_neighbours_do_not_explain_is_asked_for() -> None:
    frames = [blinking(n) for n in range(9)]
    looked = torch.zeros(9, dtype=torch.bool)
    looked[[0, 4, 8]] = True
    points = torch.stack([mesh(200, 200)] * 9)
    assert unexplained(frames, points, looked) == [BLINK]
    looked[BLINK] = True
    assert unexplained(frames, points, looked) == [5, 7]


def test_a_mouth_that_the_network_is_unsure_of_is_looked_at_in_every_frame() -> None:
    frames = [picture(n, 200, 200) for n in range(5)]
    looked = torch.tensor([True, False, False, False, True])
    points = torch.stack([mesh(200, 200)] * 5)
    assert not unexplained(frames, points, looked)
    points[4, 14, 1] += 0.02 * FACE
    assert unexplained(frames, points, looked) == [2]


def test_what_was_not_looked_at_is_drawn_straight_between() -> None:
    values = torch.tensor([[0.0], [9.0], [9.0], [9.0], [8.0], [10.0]])
    looked = torch.tensor([True, False, False, False, True, True])
    assert between(values, looked).flatten().tolist() == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("sparse", [True, False])
def test_a_still_face_is_looked_at_seldom_and_a_blink_in_full(tmp_path: Path, sparse: bool) -> None:
    looks: list[int] = []

    def look(frames: Sequence[Frame], regions: Tensor) -> Meshes:
        looks.extend(frame.index for frame in frames)
        points = torch.stack([mesh(200, 200) for _ in frames])
        points[:, :, 2] = torch.tensor([float(frame.index == BLINK) for frame in frames])[:, None]
        colors = torch.zeros(len(frames), ROW, 3, dtype=torch.uint8)
        return Meshes(points, torch.ones(len(frames)), colors)

    follower = Follower(look, PointStore(tmp_path), sparse=sparse)
    follower.start(torch.tensor([200.0, 200.0, 3.0 * FACE, 0.0]))
    frames = [blinking(n) for n in range(COUNT)]
    assert follower.follow(frames) == COUNT
    depths = follower.store.read(0, COUNT)[:, 0, 2]
    assert depths.tolist() == [float(n == BLINK) for n in range(COUNT)]
    assert follower.store.read(0, COUNT).shape == (COUNT, POINTS, 3)
    assert len(set(looks)) == (8 if sparse else COUNT)
