"""A mouth is measured free of size, tilt and the head's motion."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.faces.topology import EYE_CORNERS_OUTER, LIP_CORNERS, LIP_GAPS
from pipeline.quality.mouths import STABLE, acceleration, read_mouths


class Puppet:
    """A track whose mouth is known: eyes 100 px apart, gaps and corners as told."""

    def __init__(self, gaps: Tensor, widths: Tensor, turn: float = 0.0, size: float = 1.0) -> None:
        count = len(gaps)
        generator = torch.Generator().manual_seed(0)
        face = 40 * torch.rand(478, 2, generator=generator)
        points = face.repeat(count, 1, 1)
        points[:, EYE_CORNERS_OUTER[0]], points[:, EYE_CORNERS_OUTER[1]] = (
            torch.tensor([0.0, 0.0]),
            torch.tensor([100.0, 0.0]),
        )
        for upper, lower in LIP_GAPS:
            points[:, upper] = torch.tensor([50.0, 80.0])
            points[:, lower, 0], points[:, lower, 1] = 50.0, 80 + 100 * gaps
        points[:, LIP_CORNERS[0], 0], points[:, LIP_CORNERS[1], 0] = (
            50 - 50 * widths,
            50 + 50 * widths,
        )
        points[:, LIP_CORNERS, 1] = 80.0
        cos, sin = math.cos(turn), math.sin(turn)
        self._points = size * points @ torch.tensor([[cos, sin], [-sin, cos]]) + 200
        self.usable = torch.ones(count, dtype=torch.bool)
        self.io = torch.full((count,), 100.0 * size)

    def points(self, start: int, stop: int) -> Tensor:
        points = self._points[start:stop].clone()
        points[~self.usable[start:stop]] = float("nan")
        return points


def test_aperture_and_width_do_not_depend_on_size_and_tilt() -> None:
    gaps, widths = torch.tensor([0.0, 0.05, 0.2]), torch.tensor([0.5, 0.6, 0.7])
    for turn, size in ((0.0, 1.0), (0.5, 1.0), (-1.2, 3.0)):
        mouths = read_mouths(Puppet(gaps, widths, turn=turn, size=size))
        assert torch.allclose(mouths.aperture, gaps, atol=1e-4)
        assert torch.allclose(mouths.width, widths, atol=1e-4)


def test_lips_that_the_mesh_crosses_are_closed() -> None:
    mouths = read_mouths(Puppet(torch.tensor([-0.05, 0.1]), torch.full((2,), 0.5), turn=0.3))
    assert float(mouths.aperture[0]) == 0.0


def test_frames_without_a_face_are_not_numbers_and_do_not_disturb_their_neighbours() -> None:
    puppet = Puppet(torch.full((1100,), 0.1), torch.full((1100,), 0.5))
    puppet.usable[:3] = False
    puppet.usable[600] = False
    mouths = read_mouths(puppet)
    assert torch.isnan(mouths.aperture).nonzero().flatten().tolist() == [0, 1, 2, 600]
    assert torch.isfinite(mouths.lips[3:600]).all()


def test_the_heads_own_motion_is_no_shaking_of_the_lips() -> None:
    puppet = Puppet(torch.full((40,), 0.1), torch.full((40,), 0.5))
    at = torch.arange(40.0)
    sway = torch.stack([20 * torch.sin(at / 2), 5 * torch.cos(at)], 1)
    puppet._points += sway[:, None]
    moving = read_mouths(puppet)
    shake = acceleration(moving.lips, moving.usable)
    assert shake is not None
    assert shake < 1e-3
    puppet._points[:, 61, 1] += 4 * (at % 2)
    shaken = read_mouths(puppet)
    more = acceleration(shaken.lips, shaken.usable)
    assert more is not None
    assert more > 1e-3


def test_acceleration_needs_three_frames_in_a_row() -> None:
    places = torch.zeros(5, len(STABLE), 2)
    assert acceleration(places, torch.tensor([True, True, False, True, True])) is None
    assert acceleration(places, torch.ones(5, dtype=torch.bool)) == 0.0
