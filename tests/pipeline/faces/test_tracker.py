"""A face is taken up once a careful look is sure of it, and again where it was lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from pipeline.errors import NoFace
from pipeline.faces.detector import Detections, Detector
from pipeline.faces.mesh import Meshes, MeshNetwork
from pipeline.faces.point_store import PointStore
from pipeline.faces.tracker import Tracker
from pipeline.types import Color, Frame
from pipeline.weights import FaceModels
from tests.pipeline.faces.following import COLOR, track
from tests.pipeline.faces.pictures import (
    blank,
    paste,
    renumbered,
    resized,
)

pytestmark = pytest.mark.usefixtures("face_models")


def test_a_first_look_that_slips_is_not_the_last(
    tmp_path: Path, portrait: Frame, face_models: FaceModels
) -> None:
    network, looks = MeshNetwork(face_models.mesh), []

    def slips_once(frames: Sequence[Frame], regions: Tensor, color: Color) -> Meshes:
        seen = network(frames, regions, color)
        looks.append(len(frames))
        if len(looks) == 1:  # the mouth lies above the nose
            seen.points[:, [61, 291, 2]] = seen.points[:, [2, 2, 61]]
        return seen

    mesh: Any = slips_once
    tracker = Tracker(Detector(face_models.detector), mesh, COLOR, lambda: PointStore(tmp_path))
    tracker.feed(renumbered([portrait] * 8))
    assert len(tracker.followers) == 1
    assert tracker.followers[0].box_at(0) is not None


def test_a_face_that_is_lost_where_it_was_found_is_looked_for_later(
    tmp_path: Path, portrait: Frame, face_models: FaceModels
) -> None:
    """As one that stands on its head: a careful look sees it, following it does not."""
    network, looks, lost = MeshNetwork(face_models.mesh), [], True

    def fickle(frames: Sequence[Frame], regions: Tensor, color: Color) -> Meshes:
        looks.append(len(frames))
        if len(looks) > 50:
            pytest.fail("it is asked for in the same frame for ever")
        seen = network(frames, regions, color)
        if lost and len(frames) > 1:
            seen.score.zero_()
        return seen

    mesh: Any = fickle
    tracker = Tracker(Detector(face_models.detector), mesh, COLOR, lambda: PointStore(tmp_path))
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
    tmp_path: Path, portrait: Frame, face_models: FaceModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Detections([(250.0, 250.0, 500.0, 500.0)], [0.56], [((320.0, 340.0), (430.0, 340.0))])
    detector = Detector(face_models.detector)
    monkeypatch.setattr(detector, "whole", lambda frames, _: [beside] * len(frames))
    small = resized(portrait, 240, 240)
    frames = [paste(blank(n, 720, 1280), small, 290, 270) for n in range(8)]
    tracker = Tracker(detector, MeshNetwork(face_models.mesh), COLOR, lambda: PointStore(tmp_path))
    tracker.feed(frames)
    assert [follower.box_at(7) is not None for follower in tracker.followers] == [True]
