"""The mesh lies on the face: it moves, scales and mirrors with the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.faces import topology
from pipeline.faces.mesh import MeshNetwork
from pipeline.faces.pose import angles
from pipeline.faces.roi import region_of_points
from pipeline.types import Frame
from tests.pipeline.faces.pictures import blank, demo_facts, mirrored, paste, resized

LEFT_PUPIL, RIGHT_PUPIL = 468, 473
REGION = torch.tensor([[255.0, 163.0, 221.0, 0.0]])
PARTNERS = ((33, 263), (133, 362), (61, 291), (78, 308), (234, 454), (105, 334), (129, 358))


def placed(mesh: MeshNetwork, frame: Frame, region: Tensor) -> Tensor:
    """(478, 3) after a second look at where the first one found the face."""
    first = mesh([frame], region, demo_facts().color)
    return mesh([frame], region_of_points(first.points), demo_facts().color).points[0]


def io(points: Tensor) -> float:
    return float((points[33, :2] - points[263, :2]).norm())


def test_score_tells_a_face_from_none(mesh: MeshNetwork, portrait: Frame) -> None:
    scores = mesh([portrait, blank(0, 512, 512)], REGION.repeat(2, 1), demo_facts().color).score
    assert float(scores[0]) > 0.9
    assert float(scores[1]) < 0.5


def test_lips_and_eyes_of_a_portrait_lie_in_their_order(mesh: MeshNetwork, portrait: Frame) -> None:
    points = placed(mesh, portrait, REGION)
    for ring in (
        topology.LIPS_OUTER_UPPER,
        topology.LIPS_OUTER_LOWER,
        topology.LIPS_INNER_UPPER,
        topology.LIPS_INNER_LOWER,
        topology.LIPS_SECOND_UPPER,
        topology.LIPS_THIRD_LOWER,
        topology.EYE_LEFT_UPPER,
        topology.EYE_RIGHT_LOWER,
    ):
        assert bool((points[list(ring), 0].diff() > 0).all()), ring
    upper, lower = points[0, 1], points[17, 1]
    assert points[4, 1] < upper < points[13, 1] <= points[14, 1] < lower < points[152, 1]
    for pupil, upper_lid, lower_lid in (
        (LEFT_PUPIL, topology.EYE_LEFT_UPPER, topology.EYE_LEFT_LOWER),
        (RIGHT_PUPIL, topology.EYE_RIGHT_UPPER, topology.EYE_RIGHT_LOWER),
    ):
        rim = points[list(upper_lid + lower_lid), :2]
        assert bool((points[pupil, :2] > rim.amin(0)).all())
        assert bool((points[pupil, :2] < rim.amax(0)).all())


def test_points_move_and_scale_with_the_picture(mesh: MeshNetwork, portrait: Frame) -> None:
    here = placed(mesh, portrait, REGION)
    frame = paste(blank(0, 900, 900), resized(portrait, 768, 768), 60, 90)
    scale = 768 / portrait.height
    region = torch.cat([REGION[:, :2] * scale + torch.tensor([60, 90]), REGION[:, 2:] * scale], 1)
    region[:, 3] = 0
    there = placed(mesh, frame, region)
    # A pixel's centre is at a whole number: 0.5 goes where the corner goes.
    expected = (here[:, :2] + 0.5) * scale - 0.5 + torch.tensor([60.0, 90.0])
    off = (there[:, :2] - expected).norm(dim=1) / io(there)
    assert float(off.mean()) < 0.02


def test_a_mirrored_picture_has_a_mirrored_mesh(mesh: MeshNetwork, portrait: Frame) -> None:
    here = placed(mesh, portrait, REGION)
    region = REGION.clone()
    region[:, 0] = portrait.width - 1 - region[:, 0]
    there = placed(mesh, mirrored(portrait), region)
    for left, right in PARTNERS:
        expected = torch.stack([portrait.width - 1 - here[right, 0], here[right, 1]])
        assert float((there[left, :2] - expected).norm()) < 0.05 * io(here)
    (yaw,), _, (roll,) = angles(here[None])
    (other_yaw,), _, (other_roll,) = angles(there[None])
    assert abs(float(yaw + other_yaw)) < 4
    assert abs(float(roll + other_roll)) < 2
