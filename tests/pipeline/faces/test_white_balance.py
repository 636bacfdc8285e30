"""Light that no face is usually in is taken back for the mesh network, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.faces.detector import Detector
from pipeline.faces.mesh import MeshNetwork
from pipeline.faces.roi import region_of_box, region_of_points
from pipeline.faces.topology import (
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
)
from pipeline.faces.white_balance import DIM, GAMMA, USUAL, daylight
from pipeline.planes import planes_of, rgb_of
from pipeline.types import Frame
from tests.pipeline.faces.pictures import demo_facts

SKIN = torch.tensor([0.5, 0.29, 0.22])
"""Light of a usual face."""
Light = tuple[float, float, float]
STAGE: tuple[Light, Light] = ((1.4, 0.12, 0.35), (0.12, 0.25, 1.6))
"""Red from the left and blue from the right."""
DAY: tuple[Light, Light] = ((1, 1, 1), (1, 1, 1))
LIPS = [*LIPS_INNER_UPPER, *LIPS_INNER_LOWER, *LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER]


def picture(light: Tensor) -> Tensor:
    """(1, 3, 16, 16)."""
    return light.pow(1 / GAMMA)[None, :, None, None].expand(1, 3, 16, 16).contiguous()


def test_a_face_in_usual_light_is_seen_as_it_is() -> None:
    grey = torch.full((3,), 0.3)
    for light in (SKIN, 0.3 * SKIN, grey, SKIN * torch.tensor([1.3, 0.8, 0.5])):
        seen = picture(light)
        assert daylight(seen) is seen


@pytest.mark.parametrize("tint", [(0.1, 0.4, 1.2), (1.2, 0.1, 0.6), (0.2, 1.0, 0.2)])
def test_coloured_light_is_turned_to_daylight_as_bright(tint: tuple[float, ...]) -> None:
    light = SKIN * torch.tensor(tint)
    found = daylight(picture(light))[0, :, 0, 0].pow(GAMMA)
    ratios = (found[[0, 2]] / found[1]).log()
    torch.testing.assert_close(ratios, torch.tensor(USUAL), atol=1e-3, rtol=0)
    luma = torch.tensor([0.2126, 0.7152, 0.0722])
    torch.testing.assert_close(found @ luma, light @ luma, atol=1e-4, rtol=1e-3)


def test_a_face_in_the_dark_is_brightened_and_keeps_its_colour() -> None:
    light = 0.04 * SKIN
    found = daylight(picture(light))[0, :, 0, 0].pow(GAMMA)
    assert 5 < float(found[1] / light[1]) < 20
    torch.testing.assert_close(found / found[1], light / light[1], atol=1e-3, rtol=0)


def test_nothing_jumps_where_light_becomes_unusual() -> None:
    shades = [SKIN * torch.tensor([1.0, 1.0, 1.9 + 0.01 * n]) for n in range(60)]
    shades += [SKIN / SKIN.mean() * DIM * 1.3 * 0.97**n for n in range(60)]
    seen = torch.cat([picture(shade) for shade in shades])
    found = daylight(seen)[:, :, 0, 0]
    assert float((found - seen[:, :, 0, 0]).abs().max()) > 0.05
    assert float(found[:60].diff(dim=0).abs().max()) < 0.01
    assert float(found[60:].diff(dim=0).abs().max()) < 0.03


def lit(frame: Frame, stage: tuple[Light, Light], bright: float) -> Frame:
    """The same scene in the light of a stage."""
    color = demo_facts().color
    u, v = (F.interpolate(p.float()[None, None], frame.y.shape)[0, 0] for p in (frame.u, frame.v))
    left, right = (torch.tensor(side)[:, None, None] for side in stage)
    along = torch.linspace(0, 1, frame.width)
    gain = bright * (left * (1 - along) + right * along)
    light = (rgb_of(frame.y.float(), u, v, color) / 255).clamp(0, 1).pow(GAMMA) * gain
    planes = planes_of(light.clamp(0, 1).pow(1 / GAMMA) * 255, color)
    y, u, v = (plane.round().clamp(0, 255).to(torch.uint8) for plane in planes)
    return replace(frame, y=y, u=u, v=v)


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize(
    ("stage", "bright"), [(STAGE, 0.8), (DAY, 0.02)], ids=["on a stage", "in the dark"]
)
def test_lips_lie_where_they_lie_by_day(
    stage: tuple[Light, Light],
    bright: float,
    portrait: Frame,
    detector: Detector,
    mesh: MeshNetwork,
) -> None:
    color = demo_facts().color
    face = detector.whole([portrait], color)[0]
    region = region_of_box(*(torch.tensor([at]) for at in (face.boxes[0], *face.eyes[0])))
    for _ in range(3):
        usual = mesh([portrait], region, color).points
        region = region_of_points(usual)
    found = mesh([lit(portrait, stage, bright)], region, color).points
    apart = (usual - found)[0, LIPS, :2].norm(dim=1).mean()
    io = (usual[0, 33, :2] - usual[0, 263, :2]).norm()
    assert float(apart / io) < 0.006
