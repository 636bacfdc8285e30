"""Speech is measured by decoded samples, whatever holds it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.errors import InputUnreadable, NoAudio, NoVideo
from pipeline.reading.probe import probe_audio
from pipeline.types import Limits
from tests.pipeline.reading.calls import facts
from tests.support.media import Clip, Tone, write_clip, write_sound


@pytest.mark.parametrize(
    ("name", "tone"),
    [
        ("a.wav", Tone(1.5, codec="pcm_s16le", rate=22_050, layout="mono")),
        ("a.wav", Tone(1.5, codec="pcm_s24le", rate=48_000)),
        ("a.wav", Tone(1.5, codec="pcm_u8", rate=8_000, layout="mono")),
        ("a.wav", Tone(1.5, codec="pcm_f32le", rate=96_000)),
        ("a.flac", Tone(1.5, codec="flac", rate=44_100)),
        ("a.mp3", Tone(1.5, codec="libmp3lame", rate=44_100)),
        ("a.ogg", Tone(1.5, codec="libopus", rate=48_000)),
        ("a.m4a", Tone(1.5, rate=48_000, layout="5.1")),
    ],
)
def test_sound_is_measured_by_decoded_samples(tmp_path: Path, name: str, tone: Tone) -> None:
    found = probe_audio(write_sound(tmp_path / name, tone), Limits())
    assert found.rate == tone.rate
    assert found.channels == av.AudioLayout(tone.layout).nb_channels
    # A lossy coder works in blocks; all others keep the length to the sample.
    slack = 0 if tone.codec != "aac" else Fraction(1024, tone.rate)
    assert abs(found.duration - Fraction(3, 2)) <= slack


def test_speech_may_come_from_a_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "talk.mp4", Clip(frames=25, sound=Tone(1.0)))
    assert abs(probe_audio(path, Limits()).duration - 1) < Fraction(1, 20)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4", Clip(frames=3))
    sound = write_sound(tmp_path / "a.wav", Tone(0.2, codec="pcm_s16le"))
    with pytest.raises(NoAudio):
        probe_audio(silent, Limits())
    with pytest.raises(NoVideo):
        facts(sound)


def test_sound_without_a_sample_is_no_sound(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(0.2, codec="pcm_s16le"))
    header = path.read_bytes()
    (tmp_path / "none.wav").write_bytes(header[: header.index(b"data") + 8])
    with pytest.raises((NoAudio, InputUnreadable)):
        probe_audio(tmp_path / "none.wav", Limits())
