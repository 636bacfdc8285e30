"""A job for the engine `duix`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.types import RenderSpec
from schemas.request import RenderOptions
from tests.pipeline.engines.duix.calls import MakeSpec
from tests.support.media import Clip, Tone, write_clip, write_sound


@pytest.fixture
def spec(tmp_path: Path) -> MakeSpec:
    """A job: 2 s of speech on 1 s of video at 25 fps."""
    folder = tmp_path / "job"
    folder.mkdir()
    audio = write_sound(tmp_path / "speech.wav", Tone(2.0, codec="pcm_s16le"))
    video = write_clip(tmp_path / "face.mp4", Clip(192, 128, frames=25))

    def make(**options: Any) -> RenderSpec:
        return RenderSpec(
            audio=audio,
            video=video,
            output=folder / "out.mp4",
            scratch=folder,
            engine="duix",
            options=RenderOptions(**options),
            job_id="duix-job",
        )

    return make
