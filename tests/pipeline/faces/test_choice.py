"""Of several faces the largest is followed, or the one that a box names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.types import Frame
from schemas.request import FaceBox
from tests.pipeline.faces.following import track
from tests.pipeline.faces.pictures import (
    blank,
    facts,
    mirrored,
    paste,
    renumbered,
    resized,
)
from tests.support.tracking import tracked

pytestmark = pytest.mark.usefixtures("face_models")


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
