"""Whole files: the demo's portrait, which nobody touched, beside itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputUnreadable, NoFace, NoVideo
from pipeline.evaluate.catalogue import KINDS
from pipeline.evaluate.evidence import Sources
from pipeline.evaluate.suite import evaluate
from tests.pipeline.evaluate.conftest import PORTRAIT
from tests.support.media import Clip, Tone, write_clip, write_sound

pytestmark = pytest.mark.slow


def test_every_kind_has_a_value_or_a_reason(told: dict[str, Any]) -> None:
    names = {kind.name for kind in KINDS}
    assert set(told["measures"]) | set(told["left_out"]) == names
    assert not set(told["measures"]) & set(told["left_out"])
    assert all(reason for reason in told["left_out"].values())
    for measure in told["measures"].values():
        assert measure["unit"]
        assert measure["source"]
        assert measure["better"] in ("higher", "lower", "near 0", "neither")


def test_an_untouched_file_equals_its_reference(told: dict[str, Any]) -> None:
    value = {name: measure["value"] for name, measure in told["measures"].items()}
    assert value["outside_psnr_db"] == value["outside_worst_db"] == 99.0
    for name in ("sharpness_ratio", "flicker_ratio", "stable_acceleration_ratio"):
        assert value[name] == 1.0
    assert value["lip_roughness_ratio"] == 1.0


def test_a_mouth_that_does_not_speak_is_seen_through(told: dict[str, Any]) -> None:
    measures, left_out = told["measures"], told["left_out"]
    assert measures["closures"]["value"] > 0
    assert measures.get("aperture_best_r", {"met": False})["met"] is False
    assert left_out["lip_acceleration_ratio"] == "the reference does not talk: its lips rest"
    assert "not the sound of reference.mp4" in left_out["own_r"]
    assert "has no sound" in left_out["end_difference_ms"]
    assert measures["speech_difference_ms"]["value"] < -1000  # the speech is longer
    assert told["labels"]["found"] is False


def test_a_file_alone_leaves_out_by_name_what_it_cannot_know() -> None:
    told = evaluate(Sources(PORTRAIT)).as_json()
    assert set(told["measures"]) == {"lip_acceleration", "flicker_mean", "sharpness"}
    assert told["left_out"]["outside_psnr_db"] == "needs --reference"
    assert "--audio" in told["left_out"]["aperture_r"]


def test_what_is_no_video_and_what_has_no_face_are_refused_by_type(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InputUnreadable):
        evaluate(Sources(text))
    with pytest.raises(NoVideo):
        evaluate(Sources(write_sound(tmp_path / "a.wav", Tone(0.5, codec="pcm_s16le"))))
    with pytest.raises(NoFace):
        evaluate(Sources(write_clip(tmp_path / "bars.mp4", Clip(frames=5))))
