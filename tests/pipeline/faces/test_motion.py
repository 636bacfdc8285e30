"""Where a face went, seen on small copies of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.faces import follower
from pipeline.faces.appearance import ROW
from pipeline.faces.follower import Follower
from pipeline.faces.mesh import POINTS, Meshes
from pipeline.faces.motion import SIDE, Window
from pipeline.faces.point_store import PointStore
from pipeline.faces.roi import region_of_points
from pipeline.types import Frame

FACE = 70
"""Half the height of the face that is drawn, pixels."""


def texture(seed: int, size: int) -> Tensor:
    coarse = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0, 0] * 255


def picture(index: int, x: float, y: float, light: float = 1.0) -> Frame:
    """A face-sized patch that lies at a place over a background that stays."""
    luma = texture(1, 400) * 0.3 + 80
    left, top = round(x) - FACE, round(y) - FACE
    luma[top : top + 2 * FACE, left : left + 2 * FACE] = texture(2, 2 * FACE)
    half = torch.full((200, 200), 128, dtype=torch.uint8)
    return Frame((luma * light).clamp(0, 255).to(torch.uint8), half, half, index)


def mesh(x: float, y: float) -> Tensor:
    """(POINTS, 3) of an upright face."""
    points = torch.zeros(POINTS, 3)
    for number, place in {
        33: (-0.5, -0.4),
        263: (0.5, -0.4),
        2: (0, 0.1),
        61: (-0.3, 0.4),
        291: (0.3, 0.4),
        152: (0, 1),
        10: (0, -1),
    }.items():
        points[number, :2] = torch.tensor(place)
    return points * FACE + torch.tensor([x, y, 0.0])


@pytest.mark.parametrize(("x", "y"), [(0, 0), (20, 0), (-12, 16), (33, -25)])
def test_a_shift_is_found_to_a_cell_whatever_the_light(x: int, y: int) -> None:
    size = 3.0 * FACE
    window = Window(picture(0, 200, 200), torch.tensor([200.0, 200.0, size, 0.0]))
    found = window.shifts([picture(1, 200 + x, 200 + y), picture(2, 200 + x, 200 + y, 0.8)])
    assert (found - torch.tensor([x, y])).abs().max() <= size / SIDE


def test_a_flat_picture_says_nothing_harmful() -> None:
    grey = torch.full((400, 400), 90, dtype=torch.uint8)
    flat = Frame(grey, grey[::2, ::2], grey[::2, ::2], 0)
    window = Window(flat, torch.tensor([200.0, 200.0, 210.0, 0.0]))
    found = window.shifts([flat])
    assert bool((found.isnan() | (found.abs() <= 0.3 * 210 + 1)).all())


def looks(folder: Path, places: list[tuple[float, float]]) -> float:
    """How often a follower looks at a frame, on average, in the last half of a motion."""
    counted: list[int] = []

    def look(frames: Sequence[Frame], regions: Tensor) -> Meshes:
        counted.extend(frame.index for frame in frames)
        points = torch.stack([mesh(*places[frame.index]) for frame in frames])
        colors = torch.zeros(len(frames), ROW, 3, dtype=torch.uint8)
        return Meshes(points, torch.ones(len(frames)), colors)

    its = Follower(look, PointStore(folder))
    its.start(region_of_points(mesh(*places[0])[None])[0])
    frames = [picture(n, *place) for n, place in enumerate(places)]
    for start in range(0, len(frames), 8):
        assert its.follow(frames[start : start + 8]) == 8
    return sum(index >= len(places) // 2 for index in counted) / (len(places) / 2)


def test_a_face_that_moves_to_and_fro_is_looked_for_where_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swaying = [(200 + 40 * math.sin(n / 2.5), 200 + 15 * math.cos(n / 2)) for n in range(48)]
    guided = looks(tmp_path, swaying)
    monkeypatch.setattr(follower, "RESTLESS", -1)
    assert guided < 1.1
    assert looks(tmp_path, swaying) > 1.5


def test_a_face_that_keeps_still_is_looked_at_once(tmp_path: Path) -> None:
    assert looks(tmp_path, [(200.0, 200.0)] * 16) == 1
