"""A mouth that is covered throughout is noticed, in short shots and photos, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.errors import NoFace
from pipeline.faces.detector import Detector
from pipeline.faces.guessed import (
    ALONE,
    APART,
    FIRST,
    GUESSED,
    LATER,
    SEEN,
    STRANGE,
    SURE,
    SURE_TIMES,
    TURNED,
    Glance,
    Glances,
    Guess,
    guessed,
)
from pipeline.faces.mesh import Meshes, MeshNetwork
from pipeline.faces.occlusion import GAPING, LEAST
from pipeline.faces.roi import region_of_points
from pipeline.faces.topology import LIPS_OUTER_LOWER, LIPS_OUTER_UPPER
from pipeline.faces.track import FaceTrack
from pipeline.types import Frame
from tests.pipeline.faces.following import COLOR, track
from tests.pipeline.faces.occluders import Shape, before, hand, mask, microphone, telephone
from tests.pipeline.faces.pictures import blank, mirrored, paste, placed, renumbered, resized

NONE = torch.zeros(100)


def glance(index: int, lips: float = 2 * GUESSED, eyes: float = 0.004, like: float = 0.0) -> Glance:
    return Glance(index, lips, eyes, like)


def guess(
    glances: Sequence[Glance], others: int = 100, opening: float = 0.0, yaw: float = 0.0
) -> Guess:
    """Of two shots of 50 frames, the second without a face from 90 on; others: usable frames."""
    geometry: Any = SimpleNamespace(
        present=torch.arange(100) < 90,
        cut=torch.arange(100) == 50,
        opening=NONE + opening,
        yaw=NONE + yaw,
    )
    return guessed(glances, geometry, torch.arange(100) < others)


def found(glances: Sequence[Glance], opening: float = 0.0, yaw: float = 0.0) -> list[int]:
    """Frames that are left out where they are not most of the clip."""
    return guess(glances, opening=opening, yaw=yaw).hidden.nonzero()[:, 0].tolist()


def test_lips_that_move_between_looks_are_guessed_in_the_whole_shot() -> None:
    assert found([glance(7), glance(15)]) == list(range(50))
    assert found([glance(57)]) == list(range(50, 90))
    assert found([]) == []


def test_one_frame_that_shows_the_lips_is_enough_for_a_shot() -> None:
    assert found([glance(7), glance(15, lips=0.9 * SEEN), glance(57)]) == list(range(50, 90))


def test_a_frame_that_is_looked_at_alone_may_be_blurred() -> None:
    between = (GUESSED + ALONE) / 2
    assert found([glance(7, lips=between)]) == []
    assert found([glance(7, lips=between), glance(15, lips=between)]) == list(range(50))


def test_lips_that_move_no_more_than_eyes_do_are_blurred_not_guessed() -> None:
    assert found([glance(7, eyes=GUESSED)]) == []


def test_lips_of_their_own_colour_and_gaping_mouths_are_seen() -> None:
    assert found([glance(7, like=10.0)]) == []
    assert found([glance(7)], opening=1.1 * GAPING) == []


def test_the_far_half_of_a_turned_mouth_is_hardly_seen_and_says_nothing() -> None:
    assert found([glance(7)], yaw=-1.1 * TURNED) == []


def test_most_of_a_reference_is_left_out_only_for_what_has_not_a_faces_colours() -> None:
    """By mistake it would cost the job; a face in dim light has its colours, a mask has not."""
    sure = glance(7, like=1.1 * STRANGE)
    assert guess([sure], 90).doubted == 0
    assert guess([sure], 90).hidden.nonzero()[:, 0].tolist() == list(range(50))
    for doubted in (
        glance(7, like=0.9 * STRANGE),
        glance(7, like=1.1 * STRANGE, lips=0.95 * SURE),
        glance(7, like=1.1 * STRANGE, eyes=2 * GUESSED / (0.95 * SURE_TIMES)),
    ):
        assert not bool(guess([doubted], 90).hidden.any())
        assert guess([doubted], 90).doubted == 50
        assert found([doubted]) == list(range(50))


def test_shots_that_nobody_doubts_are_left_out_beside_others() -> None:
    both = guess([glance(7), glance(57, like=1.1 * STRANGE)])
    assert both.hidden.nonzero()[:, 0].tolist() == list(range(50, 90))
    assert both.doubted == 50


class Looks:
    """Counts looks at lips that keep still, or do not."""

    def __init__(self, mesh: MeshNetwork, shake: float = 0.0) -> None:
        self.mesh, self.shake, self.counts = mesh, shake, list[int]()

    def __call__(self, frames: Sequence[Frame], regions: Tensor) -> Meshes:
        self.counts.append(len(frames))
        seen = self.mesh(frames, regions, COLOR)
        lips = [*LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER]
        seen.points[:, lips, 0] += self.shake * torch.arange(len(frames)).unsqueeze(1)
        return seen


@pytest.mark.usefixtures("face_models")
def test_few_looks_are_made(portrait: Frame, mesh: MeshNetwork, points: Tensor) -> None:
    """One frame's where lips are seen; else of the first batches, and then of every so many."""
    region = region_of_points(points).numpy()
    seen, shaken = Looks(mesh), Looks(mesh, 40.0)
    for looks, expected in ((seen, 1), (shaken, FIRST + 2)):
        glances = Glances()
        for n in range(FIRST + 2 * LATER):
            glances.take(looks, renumbered([portrait] * (n + 1))[n], region[0])
        assert looks.counts == [len(APART)] * expected
        assert len(glances.seen) == expected
        glances.anew()
        glances.take(looks, portrait, region[0])
        assert len(glances.seen) == expected + 1


@pytest.mark.usefixtures("face_models")
def test_a_face_that_the_picture_ends_in_says_nothing(
    portrait: Frame, mesh: MeshNetwork, points: Tensor
) -> None:
    region = region_of_points(points)
    chin = int(points[0, 152, 1]) // 2 * 2 - 8
    y, u, v = portrait.y[:chin], portrait.u[: chin // 2], portrait.v[: chin // 2]
    glances, looks = Glances(), Looks(mesh, 40.0)
    glances.take(looks, Frame(y, u, v, 0), region[0].numpy())
    assert looks.counts == [len(APART)]
    assert glances.seen == []


@pytest.fixture(scope="module")
def points(portrait: Frame, mesh: MeshNetwork, detector: Detector) -> Tensor:
    """(1, 478, 3) of the portrait's face."""
    return placed(portrait, mesh, detector)


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("frames", [LEAST - 1, LEAST + 8])
@pytest.mark.parametrize("shape", [mask, telephone])
def test_no_mouth_is_painted_on_what_is_there_throughout(
    shape: Shape, frames: int, portrait: Frame, points: Tensor, tmp_path: Path
) -> None:
    hidden = before(portrait, shape, points[0])
    with pytest.raises(NoFace, match="the mouth is covered") as caught:
        track(renumbered([hidden] * frames), tmp_path)
    assert caught.value.detail["occluded"] == frames


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("shape", [mask, telephone])
def test_no_mouth_is_painted_on_what_hides_it_in_a_photo(
    shape: Shape, portrait: Frame, points: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(NoFace, match="the mouth is covered"):
        track([before(portrait, shape, points[0])], tmp_path)


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("shape", [hand, microphone])
def test_what_may_be_a_face_throughout_is_painted_and_told_of(
    shape: Shape, portrait: Frame, points: Tensor, tmp_path: Path
) -> None:
    hidden = before(portrait, shape, points[0])
    clip = track(renumbered([hidden] * 9), tmp_path)
    assert bool(clip.usable.all())
    (said,) = clip.warnings()
    assert "may be covered in the reference (frames: 9)" in said
    assert FaceTrack.restored(clip.parts()).warnings() == clip.warnings()


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("shape", [hand, microphone])
def test_only_the_shot_is_left_out(
    shape: Shape, portrait: Frame, points: Tensor, tmp_path: Path
) -> None:
    hidden = mirrored(before(portrait, shape, points[0]))
    other = paste(blank(0, 640, 640, 200), hidden, 64, 64)
    portrait = paste(blank(0, 640, 640, 60), portrait, 64, 64)
    clip = track(renumbered([portrait] * 16 + [other] * 16), tmp_path)
    assert clip.warnings() == []
    assert bool(clip.usable[:16].all())
    assert not bool(clip.usable[16:].any())
    assert clip.reason(20) == "occluded"


@pytest.mark.usefixtures("face_models")
@pytest.mark.parametrize("kind", ["as it is", "small", "blurred", "without colour", "dark"])
def test_mouths_that_are_hard_to_see_are_no_covered_ones(
    kind: str, portrait: Frame, tmp_path: Path
) -> None:
    frame = _worse(portrait, kind)
    assert bool(track(renumbered([frame] * 3), tmp_path).usable.all())


def _worse(frame: Frame, kind: str) -> Frame:
    high, wide = frame.height, frame.width
    if kind == "small":
        return resized(frame, high // 2, wide // 2)
    if kind == "blurred":
        kernel = torch.ones(1, 1, 11, 11) / 121
        y = F.conv2d(F.pad(frame.y[None, None].float(), (5, 5, 5, 5), "replicate"), kernel)
        return Frame(y[0, 0].round().byte(), frame.u, frame.v, 0)
    if kind == "without colour":
        grey = torch.full_like(frame.u, 128)
        return Frame(frame.y, grey, grey.clone(), 0)
    if kind == "dark":
        return Frame((16 + (frame.y.float() - 16) * 0.25).round().byte(), frame.u, frame.v, 0)
    return frame
