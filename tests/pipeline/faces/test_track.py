"""A face is followed through a clip, and frames without one say why."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.engines.viseme.points import LIPS
from pipeline.errors import Cancelled, NoFace
from pipeline.faces.detector import Detections, Detector
from pipeline.faces.mesh import Meshes, MeshNetwork
from pipeline.faces.store import PointStore
from pipeline.faces.track import BATCH, FaceTrack
from pipeline.faces.tracker import Tracker
from pipeline.types import Color, Frame, Limits, OnTick, Tick
from pipeline.weights import FaceModels
from schemas.codes import Stage
from schemas.request import FaceBox
from tests.pipeline.faces.pictures import (
    blank,
    covered,
    demo_facts,
    demo_frames,
    facts,
    mirrored,
    paste,
    renumbered,
    resized,
)
from tests.support.tracking import tracked

pytestmark = pytest.mark.usefixtures("models")
COLOR = demo_facts().color


def track(
    frames: list[Frame], folder: Path, choice: Any = "largest", limits: Limits | None = None
) -> FaceTrack:
    return follow(iter(frames), frames[0], len(frames), folder, choice=choice, limits=limits)


def follow(
    frames: Iterator[Frame],
    like: Frame,
    total: int,
    folder: Path,
    *,
    choice: Any = "largest",
    limits: Limits | None = None,
    color: Color = COLOR,
    device: str = "cpu",
    on_tick: OnTick = lambda _tick: None,
) -> FaceTrack:
    return tracked(
        frames,
        facts([like] * total, color),
        total,
        folder,
        choice=choice,
        limits=limits,
        device=device,
        on_tick=on_tick,
    )


def moving(portrait: Frame, count: int, step: int) -> list[Frame]:
    """The portrait slides to the right over a grey wall."""
    return [
        paste(blank(n, 600, 1000), resized(portrait, 512, 512), 40 + step * n, 60)
        for n in range(count)
    ]


def test_points_follow_a_face_that_slides(tmp_path: Path, portrait: Frame) -> None:
    found = track(moving(portrait, 32, 6), tmp_path)
    assert bool(found.usable.all())
    points = found.points(0, 32)
    expected = points[0, :, 0] + 6 * torch.arange(32).unsqueeze(1)
    off = (points[..., 0] - expected).abs()[:, list(LIPS)].mean(1) / found.io
    assert float(off.max()) < 0.03
    assert float((points[..., 1] - points[0, :, 1]).abs().mean() / found.io[0]) < 0.02
    assert not bool(found.cut.any())


def test_a_still_face_does_not_jitter(tmp_path: Path, portrait: Frame) -> None:
    torch.manual_seed(0)
    frames = []
    for n in range(40):
        noise = torch.randn(portrait.y.shape) * 2
        y = (portrait.y.float() + noise).round().clamp(0, 255).to(torch.uint8)
        frames.append(Frame(y, portrait.u, portrait.v, n))
    found = track(frames, tmp_path)
    points = found.points(0, 40)[..., :2]
    shake = (points[2:] - 2 * points[1:-1] + points[:-2]).norm(dim=2).mean() / found.io[0]
    assert float(shake) < 0.0015


def test_the_largest_of_two_faces_is_taken_unless_a_box_names_the_other(
    tmp_path: Path, portrait: Frame
) -> None:
    other = mirrored(portrait)
    frames = [
        paste(
            paste(blank(n, 520, 960), resized(portrait, 512, 512), 0, 4),
            resized(other, 440, 440),
            516,
            60,
        )
        for n in range(12)
    ]
    largest = track(frames, tmp_path)
    assert largest.faces_seen == 2
    assert float(largest.box[:, 2].max()) < 500
    (said,) = largest.warnings()
    assert "options.face" in said
    rival = largest.summary()["rival"]
    assert 0.6 < rival["share"] < 0.9
    assert track(frames, tmp_path, FaceBox(box=rival["box"])).box[0, 0] > 540
    named = track(frames, tmp_path, FaceBox(box=(680, 150, 800, 300)))
    assert named.faces_seen == 2
    assert float(named.box[:, 0].min()) > 540
    assert named.summary()["choice"] == "box"
    assert named.warnings() == []


def test_a_box_counts_pixels_of_the_reference_before_it_was_scaled_down(
    tmp_path: Path, portrait: Frame
) -> None:
    """The left face of a reference that is twice as large lies where the right one is here."""
    face = resized(portrait, 256, 256)
    frames = renumbered([paste(paste(blank(0, 256, 600), face, 60, 0), face, 330, 0)] * 8)
    box = FaceBox(box=(286, 140, 466, 400))
    found = [
        tracked(frames, replace(facts(frames), scale=scale), len(frames), tmp_path, choice=box)
        for scale in (0.5, 1.0)
    ]
    assert float(found[0].box[:, 2].max()) < 320 < float(found[1].box[:, 0].min())


@pytest.mark.parametrize("far", [30_000.0, 1e300])
def test_a_box_that_goes_far_beyond_the_frame_is_looked_for_inside_it(
    tmp_path: Path, portrait: Frame, far: float
) -> None:
    frames = renumbered([portrait] * 2)
    found = track(frames, tmp_path, FaceBox(box=(-far, 0, far, far)))
    assert found.usable.all()


def test_a_small_face_that_a_box_names_is_found_beside_a_large_one(
    tmp_path: Path, portrait: Frame
) -> None:
    small = resized(portrait, 240, 240)
    frames = [
        paste(paste(blank(n, 720, 1280), resized(portrait, 700, 700), 0, 0), small, 980, 40)
        for n in range(12)
    ]
    named = track(frames, tmp_path, FaceBox(box=(1070, 80, 1130, 150)))
    assert float(named.box[:, 0].min()) > 1000
    assert named.summary()["face_px"] < 90


def test_a_shot_without_a_face_passes_and_the_next_one_is_found_at_once(
    tmp_path: Path, portrait: Frame
) -> None:
    scene = [paste(blank(0, 512, 900), portrait, 40, 0)] * 11
    empty = [blank(0, 512, 900, luma=200)] * 9
    again = [paste(blank(0, 512, 900, luma=60), portrait, 380, 0)] * 13
    found = track(renumbered(scene + empty + again), tmp_path)
    expected = [True] * 11 + [False] * 9 + [True] * 13
    assert found.usable.tolist() == expected
    assert found.cut.nonzero()[:, 0].tolist() == [11, 20]
    assert {found.reason(n) for n in range(11, 20)} == {"no_face"}
    assert found.reason(5) is None
    assert bool(found.points(11, 20).isnan().all())
    assert not bool(found.points(20, 33).isnan().any())
    assert found.faces_seen == 1
    assert found.summary()["usable_frames"] == 24


def test_a_first_look_that_slips_is_not_the_last(
    tmp_path: Path, portrait: Frame, models: FaceModels
) -> None:
    network, looks = MeshNetwork(models.mesh), []

    def slips_once(frames: Sequence[Frame], regions: Tensor, color: Color) -> Meshes:
        seen = network(frames, regions, color)
        looks.append(len(frames))
        if len(looks) == 1:  # the mouth lies above the nose
            seen.points[:, [61, 291, 2]] = seen.points[:, [2, 2, 61]]
        return seen

    mesh: Any = slips_once
    tracker = Tracker(Detector(models.detector), mesh, COLOR, lambda: PointStore(tmp_path))
    tracker.feed(renumbered([portrait] * 8))
    assert len(tracker.followers) == 1
    assert tracker.followers[0].box_at(0) is not None


def test_a_face_that_is_lost_where_it_was_found_is_looked_for_later(
    tmp_path: Path, portrait: Frame, models: FaceModels
) -> None:
    """As one that stands on its head: a careful look sees it, following it does not."""
    network, looks, lost = MeshNetwork(models.mesh), [], True

    def fickle(frames: Sequence[Frame], regions: Tensor, color: Color) -> Meshes:
        looks.append(len(frames))
        if len(looks) > 50:
            pytest.fail("it is asked for in the same frame for ever")
        seen = network(frames, regions, color)
        if lost and len(frames) > 1:
            seen.score.zero_()
        return seen

    mesh: Any = fickle
    tracker = Tracker(Detector(models.detector), mesh, COLOR, lambda: PointStore(tmp_path))
    frames = renumbered([portrait] * 16)
    tracker.feed(frames[:8])
    assert tracker.followers == []
    lost = False
    tracker.feed(frames[8:])
    assert [follower.box_at(15) is not None for follower in tracker.followers] == [True]


def test_nobody_who_stands_on_their_head_gets_a_mouth_on_the_forehead(
    tmp_path: Path, portrait: Frame
) -> None:
    """As a film that was turned and lost the word of it."""
    y, u, v = (plane.flip(0, 1) for plane in (portrait.y, portrait.u, portrait.v))
    turned = Frame(y, u, v, 0)
    with pytest.raises(NoFace, match="on its head: turn the video"):
        track(renumbered([turned] * 12), tmp_path)
    found = track(renumbered([turned] * 8 + [portrait] * 8), tmp_path)
    assert found.usable.tolist() == [False] * 8 + [True] * 8


def test_a_small_face_that_the_whole_picture_shows_beside_its_place_is_found_at_the_next_look(
    tmp_path: Path, portrait: Frame, models: FaceModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Detections([(250.0, 250.0, 500.0, 500.0)], [0.56], [((320.0, 340.0), (430.0, 340.0))])
    detector = Detector(models.detector)
    monkeypatch.setattr(detector, "whole", lambda frames, _: [beside] * len(frames))
    small = resized(portrait, 240, 240)
    frames = [paste(blank(n, 720, 1280), small, 290, 270) for n in range(8)]
    tracker = Tracker(detector, MeshNetwork(models.mesh), COLOR, lambda: PointStore(tmp_path))
    tracker.feed(frames)
    assert [follower.box_at(7) is not None for follower in tracker.followers] == [True]


def test_a_covered_face_is_not_usable_while_it_is_covered(tmp_path: Path, portrait: Frame) -> None:
    hidden = covered(portrait, 150, 60, 360, 280)
    found = track(renumbered([portrait] * 20 + [hidden] * 12 + [portrait] * 18), tmp_path)
    assert bool(found.usable[:15].all())
    assert bool(found.usable[40:].all())
    assert not bool(found.usable[20:32].any())
    assert {found.reason(n) for n in range(20, 32)} <= {"occluded", "no_face"}


def cropped(frame: Frame, bottom: int) -> Frame:
    y, u, v = frame.y[:bottom], frame.u[: bottom // 2], frame.v[: bottom // 2]
    return Frame(y.contiguous(), u.contiguous(), v.contiguous(), frame.index)


def test_a_face_whose_mouth_lies_below_the_picture_is_not_usable_and_the_error_says_why(
    tmp_path: Path, portrait: Frame
) -> None:
    points = track([portrait], tmp_path).points(0, 1)[0]
    lip = int(points[13, 1])
    below = cropped(portrait, (lip - 12) // 2 * 2)
    with pytest.raises(NoFace, match="the mouth is covered, or outside the picture in 3") as caught:
        track(renumbered([below] * 3), tmp_path)
    assert caught.value.detail["occluded"] == 3
    above = cropped(portrait, (lip + 40) // 2 * 2)
    assert bool(track(renumbered([above] * 3), tmp_path).usable.all())


def test_no_face_at_all_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoFace, match="none of the 12 frames") as caught:
        track([blank(n) for n in range(12)], tmp_path)
    assert caught.value.stage is Stage.TRACK
    assert caught.value.detail["no_face"] == 12


def test_a_face_below_the_limit_is_named_as_too_small(tmp_path: Path, portrait: Frame) -> None:
    with pytest.raises(NoFace, match="smaller than 400 px") as caught:
        track([portrait], tmp_path, limits=Limits(min_face_px=400))
    assert 130 < caught.value.detail["largest_face_px"] < 165


def test_one_picture_is_enough(tmp_path: Path, portrait: Frame) -> None:
    found = track([portrait], tmp_path)
    assert len(found) == 1
    assert found.points(0, 1).shape == (1, 478, 3)
    assert float(found.score[0]) > 0.9
    assert found.reason(7) == "no_face"


def test_a_rotated_matrix_of_colours_changes_little(tmp_path: Path, portrait: Frame) -> None:
    """The same planes read by another matrix are the same face to a pixel."""
    here = track([portrait], tmp_path).points(0, 1)
    other = Color(9, True, 9, 14)
    found = follow(iter([portrait]), portrait, 1, tmp_path, color=other)
    assert float((found.points(0, 1) - here)[..., :2].norm(dim=2).mean()) < 2


def test_frames_are_let_go_while_the_track_goes_on(tmp_path: Path, portrait: Frame) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def frames() -> Iterator[Frame]:
        nonlocal most
        for n in range(80):
            luma = portrait.y.clone()
            alive.add(luma)
            most = max(most, len(alive))
            yield Frame(luma, portrait.u, portrait.v, n)
            del luma

    found = follow(frames(), portrait, 80, tmp_path)
    assert len(found) == 80
    assert most <= 2 * BATCH + 1


def test_a_tick_may_stop_the_track(tmp_path: Path, portrait: Frame) -> None:
    seen: list[Tick] = []

    def on_tick(tick: Tick) -> None:
        seen.append(tick)
        if len(seen) == 2:
            raise Cancelled("stop", stage=Stage.TRACK)

    frames = iter(renumbered([portrait] * 60))
    with pytest.raises(Cancelled):
        follow(frames, portrait, 60, tmp_path, on_tick=on_tick)
    assert [tick.done for tick in seen] == [BATCH, 2 * BATCH]
    assert seen[0].total == 60


def test_the_demo_clip_is_usable_throughout(tmp_path: Path) -> None:
    frames = demo_frames(24)
    found = track(frames, tmp_path)
    assert bool(found.usable.all())
    assert float(found.yaw.abs().max()) < 10
    assert found.faces_seen == 1
    summary = found.summary()
    assert summary["frames"] == 24
    assert 120 < summary["face_px"] < 180


@pytest.mark.gpu
def test_cuda_sees_what_the_cpu_sees(tmp_path: Path, portrait: Frame, models: FaceModels) -> None:
    here = track([portrait], tmp_path).points(0, 1)
    there = follow(iter([portrait]), portrait, 1, tmp_path, device="cuda").points(0, 1)
    assert float((here - there)[..., :2].norm(dim=2).mean()) < 0.3
