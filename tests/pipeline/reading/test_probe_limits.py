"""Probing refuses what is too large, too long or too slow, and names the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import MediaLimitExceeded
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip, write_sound


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(max_bytes=1000), "max_bytes"),
        (Limits(max_side=191), "max_side"),
        (Limits(max_pixels=192 * 128 - 1), "max_pixels"),
        (Limits(max_video_s=1.0), "max_video_s"),
        (Limits(max_streams=1), "max_streams"),
    ],
)
@pytest.mark.parametrize("kind", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_each_limit_of_a_video_names_itself_and_the_value(
    tmp_path: Path, limits: Limits, name: str, kind: str
) -> None:
    path = write_clip(tmp_path / kind, Clip(frames=40, sound=Tone(1.0)))
    with pytest.raises(MediaLimitExceeded) as caught:
        probe_video(path, limits, RenderOptions())
    assert caught.value.detail["limit"] == name
    assert caught.value.detail["value"] > caught.value.detail["max"]


@pytest.mark.parametrize("kind", ["a.wav", "a.mp3", "a.m4a"])
def test_speech_that_lasts_too_long_is_refused(tmp_path: Path, kind: str) -> None:
    codec = {"wav": "pcm_s16le", "mp3": "libmp3lame", "m4a": "aac"}[kind[2:]]
    path = write_sound(tmp_path / kind, Tone(2.0, codec=codec))
    with pytest.raises(MediaLimitExceeded) as caught:
        probe_audio(path, Limits(max_audio_s=1.5))
    assert caught.value.detail["limit"] == "max_audio_s"


def test_probing_ends_when_its_time_is_over(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(frames=10, sound=Tone(0.4)))
    limits = Limits(probe_timeout_s=0.0)
    with pytest.raises(MediaLimitExceeded) as caught:
        probe_video(path, limits, RenderOptions())
    assert caught.value.detail["limit"] == "probe_timeout_s"
    with pytest.raises(MediaLimitExceeded):
        probe_audio(path, limits)
