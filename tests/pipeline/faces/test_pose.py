"""Angles have the documented signs and the right size."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pipeline.faces.pose import LEFT, LOWER, RIGHT, UPPER, angles


def head() -> Tensor:
    """(478, 3): a symmetric head that looks at the viewer. x right, y down, nearer is smaller."""
    torch.manual_seed(0)
    points = torch.randn(478, 3)
    for left, right in zip(LEFT, RIGHT, strict=True):
        points[right] = points[left] * torch.tensor([-1.0, 1.0, 1.0])
        points[[left, right], 0] = torch.tensor([-1.0, 1.0]) * (points[left, 0].abs() + 0.5)
    slope = math.tan(math.radians(9.0))
    points[list(UPPER), 1:] = torch.tensor([-1.0, -slope])
    points[list(LOWER), 1:] = torch.tensor([1.0, slope])
    return points


def turned(points: Tensor, axis: int, degrees: float) -> Tensor:
    """Rotate around x (0), y (1) or z (2), right-handed in x right, y down, z away."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = torch.eye(3)
    matrix[first, first] = matrix[second, second] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return points @ matrix.t()


@pytest.mark.parametrize("degrees", [-45.0, -10.0, 0.0, 25.0, 60.0])
def test_each_turn_is_measured_alone(degrees: float) -> None:
    for axis, which in ((1, 0), (0, 1), (2, 2)):
        # Around y by a positive angle, the nose (towards -z) goes to -x: the left of the picture.
        sign = -1.0 if axis == 1 else 1.0
        found = angles(turned(head(), axis, sign * degrees)[None])
        for n, angle in enumerate(found):
            expected = degrees if n == which else 0.0
            assert float(angle[0]) == pytest.approx(expected, abs=1.0), (axis, n)


def test_a_nose_to_the_right_is_a_positive_yaw() -> None:
    points = head()
    points[4] = torch.tensor([0.0, 0.0, -3.0])
    there = turned(points, 1, -30)
    assert float(there[4, 0]) > 1
    assert float(angles(there[None])[0][0]) == pytest.approx(30, abs=1)
