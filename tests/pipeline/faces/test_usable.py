"""Frames without a usable face say why, and so does the error of a clip without any."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import NoFace
from pipeline.types import Frame, Limits
from schemas.codes import Stage
from tests.pipeline.faces.following import track
from tests.pipeline.faces.pictures import (
    blank,
    covered,
    paste,
    renumbered,
)

pytestmark = pytest.mark.usefixtures("face_models")


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
