"""The tracker on real clips, by what any person sees in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.faces.topology import STABLE
from pipeline.faces.track import FaceTrack
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.tracking import tracked

MEDIA = Path(__file__).parents[4] / "shared" / "media"
pytestmark = [pytest.mark.media, pytest.mark.usefixtures("face_models")]


def clip(name: str, folder: Path, frames: int) -> FaceTrack:
    paths = sorted(MEDIA.glob(f"{name}_*.mp4"))
    if not paths:
        pytest.skip(f"no clip {name} in {MEDIA}")
    video = probe_video(paths[0], Limits(), RenderOptions())
    count = min(frames, video.frames)
    return tracked(FrameReader(video, 1).read(range(count)), video, count, folder)


@pytest.mark.parametrize("name", ["v14", "v21"])
def test_points_keep_still_on_a_person_who_does(name: str, tmp_path: Path) -> None:
    found = clip(name, tmp_path, 96)
    points = found.points(0, len(found))[:, list(STABLE), :2]
    shake = (points[2:] - 2 * points[1:-1] + points[:-2]).norm(dim=2).mean(1) / found.io[1:-1]
    assert float(shake.mean()) < 0.003


@pytest.mark.parametrize("name", ["v07", "v09", "v10", "v15", "v26", "v28", "v29"])
def test_every_frame_of_a_talking_person_is_usable(name: str, tmp_path: Path) -> None:
    found = clip(name, tmp_path, 48)
    assert bool(found.usable.all())
    assert found.faces_seen == 1


def test_who_looks_to_the_left_of_the_picture_has_a_negative_yaw(tmp_path: Path) -> None:
    found = clip("v27", tmp_path, 24)
    assert -35 < float(found.yaw.median()) < -12


@pytest.mark.slow
def test_lips_stay_on_the_mouth_while_the_head_moves_quickly(tmp_path: Path) -> None:
    """The mesh network pulls towards the middle of its picture; a late region shuts open lips."""
    found = clip("v08", tmp_path, 224)
    points = found.points(210, 222)
    gap = (points[:, 14, 1] - points[:, 13, 1]) / found.io[210:222]
    assert float(gap.min()) > 0.08
