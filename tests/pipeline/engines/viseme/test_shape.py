"""Editing shapes, measuring them, and finding the head's pose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.heads import Heads, fit_heads, mean_skull
from pipeline.engines.viseme.points import CHIN, JAW, LIPS, NOSE_BASE, PLACE, places
from pipeline.engines.viseme.shape import below_nose, edit
from pipeline.faces.topology import EYE_CORNERS_OUTER
from tests.pipeline.engines.viseme.puppet import IO, Pose, head


def _heads(*poses: Pose) -> Heads:
    points = torch.stack([head(pose) for pose in poses])
    return fit_heads(points, mean_skull(points))


def _edit(heads: Heads, aperture: float, wider: float = 0.0) -> Tensor:
    now = measure(heads.shape)
    count = len(now.aperture)
    wanted = torch.full((count,), aperture)
    drop = 0.45 * (wanted - now.aperture)
    return edit(heads.shape, wanted, now.width + wider, drop, purse=True)


@pytest.mark.parametrize("start", [0.0, 0.05, 0.12])
@pytest.mark.parametrize("wanted", [0.0, 0.04, 0.1, 0.16])
def test_edited_shape_has_the_wanted_aperture(start: float, wanted: float) -> None:
    heads = _heads(Pose(start), Pose(start, yaw=10))
    made = measure(_edit(heads, wanted)).aperture
    assert torch.allclose(made, torch.full_like(made, wanted), atol=0.006)


def test_edited_shape_has_the_wanted_width() -> None:
    heads = _heads(Pose(0.05))
    before = measure(heads.shape).width
    after = measure(_edit(heads, 0.05, wider=-0.06)).width
    assert torch.allclose(after, before - 0.06, atol=0.006)


def test_lips_that_are_drawn_together_stand_out_and_stay_as_open() -> None:
    heads = _heads(Pose(0.05))
    made = _edit(heads, 0.05, wider=-0.2 * float(measure(heads.shape).width))
    for outer, inner in ((0, 13), (17, 14)):
        before, after = (
            float((shape[0, PLACE[outer], 1] - shape[0, PLACE[inner], 1]).abs())
            for shape in (heads.shape, made)
        )
        assert 1.08 < after / before < 1.25
    assert float(measure(made).aperture) == pytest.approx(0.05, abs=0.002)
    assert torch.equal(made[:, places(NOSE_BASE)], heads.shape[:, places(NOSE_BASE)])


def test_a_smile_sinks_at_its_corners_when_it_is_drawn_together() -> None:
    heads = _heads(Pose(0.0))
    calm = heads.shape
    smiling = calm.clone()
    smiling[:, [LEFT, RIGHT], 1] = calm[:, places((13,)), 1] - 0.06
    now = measure(calm).width
    drop = torch.zeros(1)
    sunk = [
        float((edit(shape, torch.zeros(1), share * now, drop, purse=True) - shape)[0, LEFT, 1])
        for shape, share in ((calm, 0.8), (smiling, 0.8), (smiling, 1.05))
    ]
    assert sunk[1] > sunk[0] + 0.01
    assert sunk[2] < 0


def test_chin_follows_and_the_nose_stays() -> None:
    heads = _heads(Pose(0.0))
    made = _edit(heads, 0.1)
    assert torch.equal(made[:, places(NOSE_BASE)], heads.shape[:, places(NOSE_BASE)])
    sunk = float(made[0, PLACE[CHIN], 1] - heads.shape[0, PLACE[CHIN], 1])
    assert sunk == pytest.approx(0.045, abs=0.002)


def test_speech_moves_all_of_a_face_below_the_mouth_and_nothing_of_its_nose() -> None:
    share = below_nose(_heads(Pose(0.0)).shape)[0, :, 0]
    assert share[places(NOSE_BASE, EYE_CORNERS_OUTER)].max() < 1e-3
    assert share[places(JAW[3:-3])].min() == 1
    assert 0 < share[places(LIPS)].min() <= share[places(LIPS)].max() == 1


def test_measures_do_not_depend_on_where_the_head_is_turned() -> None:
    heads = _heads(Pose(0.08), Pose(0.08, yaw=12, x=260, y=120), Pose(0.08, yaw=-15))
    mouths = measure(heads.shape)
    for values in (mouths.aperture, mouths.width, mouths.jaw):
        assert values.max() - values.min() < 0.01


def test_projection_gives_the_points_back_and_angles_tell_the_turn() -> None:
    poses = (Pose(0.03), Pose(0.1, yaw=14, x=240), Pose(0.0, yaw=-14))
    heads = _heads(*poses)
    seen = torch.stack([head(pose) for pose in poses])
    there = heads.project(heads.shape)
    assert torch.allclose(there[:, PLACE[13]], seen[:, 13, :2], atol=0.05)
    yaw = heads.angles()[:, 0]
    assert float((yaw[1] - yaw[2]).abs()) == pytest.approx(28, abs=1)
    assert float(heads.scale[0]) == pytest.approx(IO, rel=0.05)
