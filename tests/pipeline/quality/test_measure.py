"""Whole files: the demo's portrait, whose mouth hardly moves, with and without its speech."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import NoFace
from pipeline.quality.measure import measure
from tests.support.media import Clip, write_clip

ASSETS = Path(__file__).parents[3] / "consumer" / "demo_assets"
PORTRAIT, SPEECH = ASSETS / "reference.mp4", ASSETS / "speech.flac"

pytestmark = [pytest.mark.usefixtures("face_models"), pytest.mark.slow]


def test_a_portrait_that_does_not_speak_is_seen_through() -> None:
    quality = measure(PORTRAIT, audio=SPEECH, reference=PORTRAIT)
    figures = quality.figures
    assert json.loads(json.dumps(figures)) == figures
    assert figures["face_frames"] == figures["frames"]
    assert figures["aperture_best_r"] is None or figures["aperture_best_r"] < 0.6
    assert figures["closures"] > 0
    assert figures["length_error_frames"] > 25  # the speech is longer than the portrait
    assert figures["reference"]["sharpness"] == 1.0
    assert figures["sharpness"] > 0


def test_a_file_without_sound_is_measured_without_speech() -> None:
    quality = measure(PORTRAIT)
    assert quality.speech is None
    assert quality.requested is None
    assert "aperture_r" not in quality.figures
    assert quality.figures["aperture_io"]["p50"] >= 0


def test_a_clip_without_a_face_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NoFace):
        measure(write_clip(tmp_path / "bars.mp4", Clip(frames=5)))
