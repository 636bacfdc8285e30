"""What comes before a mouth is noticed; what a face itself does is not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline.faces.appearance import LIPS, ROW, sample
from pipeline.faces.detector import Detector
from pipeline.faces.mesh import MeshNetwork
from pipeline.faces.occlusion import LEAST, covered
from pipeline.faces.roi import region_of_points
from pipeline.types import Frame
from tests.pipeline.faces.occluders import Shape, before, hand, microphone, telephone
from tests.pipeline.faces.pictures import demo_facts, placed

SKIN, LIP, PHONE = (200.0, 150.0, 130.0), (170.0, 90.0, 90.0), (40.0, 40.0, 42.0)


def face(frames: int, *, beard: bool = False) -> Tensor:
    """(frames, ROW, 3) colours of a head that turns in a light that flickers, and speaks."""
    torch.manual_seed(1)
    colors = torch.tensor(SKIN).expand(ROW, 3).clone()
    colors[:LIPS] = torch.tensor(LIP)
    if beard:
        colors[LIPS:-1] *= 0.35 + 0.2 * torch.rand(ROW - 1 - LIPS, 1)
    time = torch.arange(frames)[:, None, None]
    side = torch.linspace(-1, 1, ROW)[None, :, None]
    turned = 0.15 * torch.sin(time / 15) * side
    lips = torch.zeros(1, ROW, 1)
    lips[:, :LIPS] = 0.12
    spoken = lips * torch.sin(time / 2.3)
    light = 1 + 0.1 * torch.sin(time / 40)
    seen = colors * light * (1 + turned + spoken) + torch.randn(frames, ROW, 3)
    return seen.round().clamp(0, 255).to(torch.uint8)


def shots(frames: int, *starts: int) -> Tensor:
    cut = torch.zeros(frames, dtype=torch.int64)
    cut[list(starts)] = 1
    return cut.cumsum(0)


def everywhere(frames: int) -> Tensor:
    return torch.ones(frames, dtype=torch.bool)


def shut(frames: int) -> Tensor:
    """Lips as the mesh sees them behind a hand."""
    return torch.zeros(frames)


@pytest.mark.parametrize("beard", [False, True])
def test_a_face_that_turns_speaks_and_stands_in_changing_light_is_not_covered(beard: bool) -> None:
    found = covered(face(120, beard=beard), everywhere(120), shots(120), shut(120))
    assert not bool(found.any())


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_a_slab_before_a_part_of_the_mouth_is_seen_while_it_is_there(share: float) -> None:
    colors = face(120)
    colors[50:80, : int(share * (ROW - 1))] = torch.tensor(PHONE).to(torch.uint8)
    found = covered(colors, everywhere(120), shots(120), shut(120))
    assert found.nonzero()[:, 0].tolist() == list(range(50, 80))


def test_lips_that_are_rolled_in_for_a_closure_are_not_covered() -> None:
    colors = face(120)
    colors[60:64, :LIPS] = torch.tensor(SKIN).to(torch.uint8)
    assert not bool(covered(colors, everywhere(120), shots(120), shut(120)).any())
    colors[60:64, LIPS : LIPS + 3] = torch.tensor(PHONE).to(torch.uint8)  # and something beside
    found = covered(colors, everywhere(120), shots(120), shut(120))
    assert found.nonzero()[:, 0].tolist() == list(range(60, 64))


def test_lips_that_vanish_behind_skin_are_covered() -> None:
    colors = face(120)
    colors[50:80, :LIPS] = colors[50:80, -1:]
    found = covered(colors, everywhere(120), shots(120), shut(120))
    assert found.nonzero()[:, 0].tolist() == list(range(50, 80))


@pytest.mark.parametrize("places", [slice(0, LIPS), slice(0, int(0.8 * (ROW - 1)))])
@pytest.mark.parametrize("start", [60, 100, 140])
def test_a_slab_that_is_there_for_much_of_a_shot_is_not_taken_for_the_face(
    places: slice, start: int
) -> None:
    colors = face(200)
    colors[start:, places] = torch.tensor(PHONE).to(torch.uint8)
    found = covered(colors, everywhere(200), shots(200), shut(200))
    assert found.nonzero()[:, 0].tolist() == list(range(start, 200))


def test_a_hand_before_lips_that_are_hardly_redder_is_not_taken_for_the_face() -> None:
    colors = face(120)
    shaded = colors[:, LIPS:-1].float() * torch.tensor([0.9, 0.8, 0.65])
    colors[:, LIPS:-1] = shaded.to(torch.uint8)
    colors[:, :LIPS] = (shaded[:, :1] + torch.tensor([2.0, -2.0, -2.0])).to(torch.uint8)
    colors[50:80, :-1] = (colors[50:80, -1:].float() * 0.75).to(torch.uint8)
    found = covered(colors, everywhere(120), shots(120), shut(120))
    assert found.nonzero()[:, 0].tolist() == list(range(50, 80))


def test_a_shout_that_stretches_lips_into_other_light_is_not_covered() -> None:
    colors, opening = face(200), shut(200)
    colors[150:180, : LIPS + 12] = (colors[150:180, : LIPS + 12].float() * 1.25).byte()
    opening[148:182] = 0.4
    assert bool(covered(colors, everywhere(200), shots(200), shut(200)).any())
    assert not bool(covered(colors, everywhere(200), shots(200), opening).any())
    colors[150:180, :LIPS] = colors[150:180, -1:]
    assert bool(covered(colors, everywhere(200), shots(200), opening)[150:180].all())


def test_another_shot_in_another_light_is_another_matter() -> None:
    colors = face(120)
    colors[90:] = (colors[90:].float() * torch.tensor([0.5, 0.6, 1.0])).to(torch.uint8)
    assert not bool(covered(colors, everywhere(120), shots(120, 90), shut(120)).any())
    few = LEAST - 1
    found = covered(colors[:few], everywhere(few), shots(few), shut(few))
    assert not bool(found.any())


def test_frames_without_a_face_say_nothing_and_take_no_part() -> None:
    colors, present = face(120), everywhere(120)
    colors[20:60], present[20:60] = 0, False
    assert not bool(covered(colors, present, shots(120), shut(120)).any())
    assert not bool(covered(colors, torch.zeros_like(present), shots(120), shut(120)).any())


def test_colours_are_read_where_the_points_are() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, 0, :, 32:] = 1
    places = torch.full((1, 478, 2), 20.0)
    places[:, 61] = torch.tensor([48.0, 20.0])
    seen = sample(picture, places)
    assert seen.shape == (1, ROW, 3)
    assert seen[0, 0].tolist() == [255, 0, 0]
    assert not bool(seen[0, 1:].any())


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("shape", [hand, telephone, microphone])
def test_things_before_a_real_face_are_seen(
    shape: Shape, portrait: Frame, mesh: MeshNetwork, detector: Detector
) -> None:
    color = demo_facts().color
    points = placed(portrait, mesh, detector)
    region = region_of_points(points)
    seen = []
    for n in range(40):
        shifted = region + torch.tensor([2 * math.sin(n), 2 * math.cos(n), 0, 0.02 * math.sin(n)])
        frame = replace(portrait, y=(portrait.y.float() * (1 + 0.05 * math.sin(n / 4))).byte())
        away = max(0.0, abs(n - 20) - 4) * 0.4
        seen.append(mesh([before(frame, shape, points[0], away)], shifted, color).colors)
    found = covered(torch.cat(seen), everywhere(40), shots(40), shut(40))
    assert bool(found[16:25].all())
    assert not bool(found[:11].any())
    assert not bool(found[30:].any())
