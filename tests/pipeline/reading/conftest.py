"""A film that devices are asked to decode."""

from __future__ import annotations

import pytest

from pipeline.reading.probe import probe_video
from pipeline.types import Limits, VideoFacts
from schemas.request import RenderOptions
from tests.pipeline.reading.devices import FRAMES
from tests.support.media import Clip, write_clip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoFacts:
    path = tmp_path_factory.mktemp("nvdec") / "clip.mp4"
    write_clip(path, Clip(frames=FRAMES, width=192, height=160))
    return probe_video(path, Limits(), RenderOptions())
