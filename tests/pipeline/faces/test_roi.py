"""Regions go where the points do."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.faces.roi import region_of_points


def test_a_region_follows_its_points() -> None:
    torch.manual_seed(0)
    points = torch.rand(1, 478, 3) * 100
    points[0, 33, :2], points[0, 263, :2] = torch.tensor([20.0, 40]), torch.tensor([80.0, 60])
    region = region_of_points(points)[0]
    moved = region_of_points(points * 2 + torch.tensor([7.0, -3.0, 0.0]))[0]
    assert float(region[3]) == pytest.approx(math.atan2(20, 60), abs=1e-5)
    torch.testing.assert_close(moved[:2], region[:2] * 2 + torch.tensor([7.0, -3.0]))
    assert float(moved[2] / region[2]) == pytest.approx(2, abs=1e-4)
