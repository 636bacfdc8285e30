"""Speech is heard on whichever channel it is, and no louder than it was."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.reading.audio import load_speech
from pipeline.reading.channels import sound_warnings
from pipeline.reading.probe import probe_audio
from pipeline.types import Limits
from pipeline.writing.soundtrack import Soundtrack
from tests.support.media import Tone, write_sound


def test_two_equal_channels_do_not_get_louder(tmp_path: Path) -> None:
    one = write_sound(tmp_path / "1.wav", Tone(0.5, codec="pcm_s16le", layout="mono", rate=16_000))
    with av.open(str(tmp_path / "2.wav"), "w") as container, av.open(str(one)) as source:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "stereo"
        for frame in source.decode(audio=0):
            both: NDArray[np.int16] = np.repeat(frame.to_ndarray(), 2, axis=1).astype(np.int16)
            double = av.AudioFrame.from_ndarray(both, "s16", "stereo")
            double.sample_rate = 16_000
            container.mux(stream.encode(double))
        container.mux(stream.encode(None))
    mono, stereo = load_speech(one, Limits()), load_speech(tmp_path / "2.wav", Limits())
    assert torch.allclose(mono.samples, stereo.samples, atol=2e-4)


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_two_channels_that_cancel_each_other_are_heard(tmp_path: Path, noise: float) -> None:
    """A balanced microphone in a stereo socket has the speech's mirror on the right."""
    sine = 0.3 * np.sin(np.arange(16_000) / 5)
    sine[:4_000] = 0
    values = np.stack([sine, -0.95 * sine]).astype(np.float32)
    values += noise * np.random.default_rng(3).standard_normal(values.shape, np.float32)
    path = _stereo(tmp_path / "mirror.wav", values)
    heard = load_speech(path, Limits()).samples
    assert torch.allclose(heard, torch.from_numpy(values[0]), atol=1e-6)
    audio = probe_audio(path, Limits())
    assert audio.alone == 0
    assert "cancel each other" in sound_warnings(audio)[0]
    with (
        av.open(str(tmp_path / "out.mp4"), "w") as container,
        Soundtrack(container, audio) as track,
    ):
        container.mux(track.rest())
    written = probe_audio(tmp_path / "out.mp4", Limits())
    assert (written.channels, written.alone) == (1, None)
    assert load_speech(tmp_path / "out.mp4", Limits()).samples.abs().max() > 0.2


def _stereo(path: Path, values: NDArray[np.float32]) -> Path:
    """(2, N) samples at 16 kHz as WAV."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000)
        stream.codec_context.layout = "stereo"
        sound = av.AudioFrame.from_ndarray(values.T.reshape(1, -1).copy(), "flt", "stereo")
        sound.sample_rate = 16_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def test_channels_whose_offsets_alone_cancel_each_other_stay_two(tmp_path: Path) -> None:
    """A cheap sound card has another zero on each channel."""
    sine = (0.04 * np.sin(np.arange(16_000) / 5)).astype(np.float32)
    audio = probe_audio(_stereo(tmp_path / "a.wav", np.stack([sine + 0.1, sine - 0.1])), Limits())
    assert (audio.channels, audio.alone) == (2, None)
    assert sound_warnings(audio) == []


def _on_one_of(path: Path, channels: int, speaks: int) -> Path:
    """A second at 16 kHz with a tone on one channel, as WAV."""
    samples = np.zeros((16_000, channels), np.int16)
    samples[:, speaks] = 9_000 * np.sin(np.arange(16_000) / 12)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


@pytest.mark.parametrize(("channels", "speaks"), [(3, 2), (6, 3), (8, 3), (16, 15)])
def test_speech_on_a_channel_that_a_mix_drops_is_heard_and_written_and_said(
    tmp_path: Path, channels: int, speaks: int
) -> None:
    path = _on_one_of(tmp_path / "a.wav", channels, speaks)
    assert load_speech(path, Limits()).samples.abs().max() > 0.2
    audio = probe_audio(path, Limits())
    assert audio.alone == speaks
    assert f"channel {speaks + 1} of {channels} alone" in sound_warnings(audio)[0]
    with (
        av.open(str(tmp_path / "out.mp4"), "w") as container,
        Soundtrack(container, audio) as track,
    ):
        container.mux(track.rest())
    assert load_speech(tmp_path / "out.mp4", Limits()).samples.abs().max() > 0.2


@pytest.mark.parametrize(("channels", "speaks"), [(1, 0), (2, 1), (6, 2), (16, 8)])
def test_speech_that_a_mix_keeps_is_mixed_as_ever(
    tmp_path: Path, channels: int, speaks: int
) -> None:
    audio = probe_audio(_on_one_of(tmp_path / "a.wav", channels, speaks), Limits())
    assert audio.alone is None
    assert sound_warnings(audio) == []
