"""No output that is broken, short or late passes."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.errors import OutputInvalid
from pipeline.reading.probe import probe_audio
from pipeline.timeline import Timeline
from pipeline.types import AudioFacts, Limits
from pipeline.writing.verify import verify
from tests.pipeline.writing.calls import encode
from tests.support.media import Clip, Tone, write_clip, write_sound

FPS = Fraction(25)


@pytest.fixture
def audio(tmp_path: Path) -> AudioFacts:
    tone = Tone(2.0, codec="pcm_s16le", rate=16_000, layout="mono")
    return probe_audio(write_sound(tmp_path / "a.wav", tone), Limits())


@pytest.fixture
def output(tmp_path: Path, audio: AudioFacts) -> Path:
    return encode(tmp_path / "out.mp4", audio, 50)


@pytest.fixture
def timeline(audio: AudioFacts) -> Timeline:
    return Timeline.fit(audio.duration, FPS, 1)


def test_a_good_output_is_described(output: Path, timeline: Timeline, audio: AudioFacts) -> None:
    verified = verify(output, timeline, audio)
    assert verified.ends == {"start_difference_ms": 0.0, "end_difference_ms": 0.0}
    assert verified.media.model_dump() == {
        "width": 192,
        "height": 128,
        "fps": "25/1",
        "frames": 50,
        "duration_s": 2.0,
        "video_codec": "h264",
        "audio_codec": "aac",
        "audio_rate": 16_000,
    }


@pytest.mark.parametrize("frames", [49, 51])
def test_a_wrong_number_of_frames_is_refused(
    output: Path, timeline: Timeline, audio: AudioFacts, frames: int
) -> None:
    with pytest.raises(OutputInvalid, match="frames 50 instead of"):
        verify(output, dataclasses.replace(timeline, frames=frames), audio)


def test_another_frame_rate_is_refused(output: Path, timeline: Timeline, audio: AudioFacts) -> None:
    with pytest.raises(OutputInvalid, match="lasts"):
        verify(output, dataclasses.replace(timeline, fps=Fraction(24)), audio)


def test_sound_of_another_length_is_refused(
    output: Path, timeline: Timeline, audio: AudioFacts
) -> None:
    for seconds in (Fraction(19, 10), Fraction(21, 10)):
        with pytest.raises(OutputInvalid, match="sound lasts"):
            verify(output, timeline, dataclasses.replace(audio, duration=seconds))


def test_sound_of_another_rate_is_refused(
    output: Path, timeline: Timeline, audio: AudioFacts
) -> None:
    with pytest.raises(OutputInvalid, match="audio_rate"):
        verify(output, timeline, dataclasses.replace(audio, rate=48_000))


def test_a_file_without_one_of_its_streams_is_refused(
    tmp_path: Path, timeline: Timeline, audio: AudioFacts
) -> None:
    silent = write_clip(tmp_path / "silent.mp4", Clip(frames=50))
    blind = write_sound(tmp_path / "blind.m4a", Tone(2.0, rate=16_000, layout="mono"))
    with pytest.raises(OutputInvalid, match="no sound"):
        verify(silent, timeline, audio)
    with pytest.raises(OutputInvalid, match="no video"):
        verify(blind, timeline, audio)


def test_sound_that_starts_late_is_refused(
    tmp_path: Path, timeline: Timeline, audio: AudioFacts
) -> None:
    late = Tone(1.9, rate=16_000, layout="mono", delay=Fraction(1, 10))
    path = write_clip(tmp_path / "late.mp4", Clip(frames=50, sound=late))
    with pytest.raises(OutputInvalid, match="late"):
        verify(path, timeline, audio)


def test_a_picture_that_starts_late_is_refused(
    tmp_path: Path, timeline: Timeline, audio: AudioFacts
) -> None:
    times = [Fraction(n + 2, 25) for n in range(50)]
    clip = Clip(frames=50, times=times, sound=Tone(2.0, rate=16_000, layout="mono"))
    with pytest.raises(OutputInvalid, match="does not start at 0"):
        verify(write_clip(tmp_path / "late.mp4", clip), timeline, audio)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.95])
def test_a_file_that_is_cut_off_is_refused(
    output: Path, timeline: Timeline, audio: AudioFacts, part: float
) -> None:
    data = output.read_bytes()
    output.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(OutputInvalid):
        verify(output, timeline, audio)


def test_a_picture_that_does_not_decode_is_refused(
    output: Path, timeline: Timeline, audio: AudioFacts
) -> None:
    with av.open(str(output)) as container:
        spots = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(output.read_bytes())
    for position, size in spots:
        assert position is not None
        data[position : position + size] = bytes(size)
    output.write_bytes(data)
    with pytest.raises(OutputInvalid, match="decode"):
        verify(output, timeline, audio)


def test_a_missing_file_is_refused(tmp_path: Path, timeline: Timeline, audio: AudioFacts) -> None:
    with pytest.raises(OutputInvalid):
        verify(tmp_path / "nothing.mp4", timeline, audio)
