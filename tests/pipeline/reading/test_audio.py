"""Speech keeps every bit of a recording that is right, in memory once."""

from __future__ import annotations

import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.reading.audio import SPEECH_RATE, load_speech, reading_s
from pipeline.speech.activity import activity
from pipeline.speech.mel import hear_level
from pipeline.types import Limits
from tests.support.media import Tone, write_sound


def test_sixteen_kilohertz_mono_passes_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    values = np.random.default_rng(1).integers(-32768, 32768, (1, 5000)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(values, "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
    assert np.array_equal(
        load_speech(path, Limits()).samples.numpy(), values[0] / np.float32(32768)
    )


def test_loading_holds_the_samples_once(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", Tone(60.0, codec="flac", rate=16_000, layout="mono"))
    load_speech(path, Limits())  # libraries settle
    tracemalloc.start()
    speech = load_speech(path, Limits())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # numpy reports to tracemalloc, torch does not: the blocks alone, never a second copy.
    assert peak < speech.samples.numel() * 4 * 1.2


@pytest.mark.parametrize("offset", [0.02, -0.3])
def test_a_recording_whose_zero_lies_elsewhere_is_heard_as_one_that_is_right(
    tmp_path: Path, offset: float
) -> None:
    time = np.arange(4 * SPEECH_RATE) / SPEECH_RATE
    words = np.where(time % 1 < 0.6, 0.1 * np.sin(2 * np.pi * 150 * time), 0)
    right = load_speech(_mono(tmp_path / "right.wav", words), Limits()).samples
    moved = load_speech(_mono(tmp_path / "moved.wav", words + offset), Limits()).samples
    assert (moved - right).abs().max() < 0.001
    heard = [activity(hear_level(samples)) for samples in (right, moved)]
    assert ((heard[0] > 0.5) == (heard[1] > 0.5)).float().mean() > 0.97
    assert 0.5 < heard[1].mean() < 0.7


def test_a_recording_without_an_offset_keeps_every_bit(tmp_path: Path) -> None:
    time = np.arange(3 * SPEECH_RATE) / SPEECH_RATE
    words = 0.5 * np.sin(2 * np.pi * 150 * time) + 0.002
    samples = load_speech(_mono(tmp_path / "right.wav", words), Limits()).samples
    assert torch.equal(samples, torch.from_numpy(np.rint(words * 32767).astype(np.float32) / 32768))


def _mono(path: Path, values: NDArray[np.float64]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes(np.rint(values * 32767).astype("<i2").tobytes())
    return path


def test_longer_speech_than_usual_may_be_read_for_longer() -> None:
    assert reading_s(Limits()) == Limits().probe_timeout_s
    assert reading_s(Limits(max_audio_s=60)) == Limits().probe_timeout_s
    assert reading_s(Limits(max_audio_s=7200)) == 4 * Limits().probe_timeout_s
