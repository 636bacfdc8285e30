"""Sound is complete, never late, and of one length everywhere."""

from __future__ import annotations

import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import InputUnreadable, MediaLimitExceeded, NoAudio
from pipeline.reading.audio import SPEECH_RATE, load_speech
from pipeline.reading.probe import probe_audio
from pipeline.reading.sound_stream import open_sound
from pipeline.types import Limits
from pipeline.writing.soundtrack import Soundtrack
from tests.pipeline.reading.clicks import KINDS, clicks
from tests.support.media import Clip, Tone, write_clip, write_sound


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_of_sound_is_in_its_place_to_two_milliseconds(tmp_path: Path, name: str) -> None:
    tone = KINDS[name]
    path = write_sound(tmp_path / name, tone)
    speech = load_speech(path, Limits())
    assert list(clicks(speech.samples)) == pytest.approx([1, 2, 3], abs=0.002)
    assert speech.rate == SPEECH_RATE
    assert speech.samples.dtype == torch.float32
    assert float(speech.samples.abs().max()) <= 1


@pytest.mark.parametrize(("format_", "codec"), [("flt", "pcm_f32le"), ("dbl", "pcm_f64le")])
def test_samples_that_are_no_numbers_are_silent_and_an_encoder_takes_the_rest(
    tmp_path: Path, format_: str, codec: str
) -> None:
    """Programs that divide by an empty window's loudness write such files."""
    kind = np.float32 if format_ == "flt" else float
    values: NDArray[Any] = np.tile(np.array([0.25, -0.25], kind), 16_000)[None]
    values[0, 4_000:4_100] = np.nan
    values[0, 8_000], values[0, 8_100], values[0, 12_000] = np.inf, -np.inf, 1e30
    path = tmp_path / "broken.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=16_000)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(values, format_, "mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    samples = load_speech(path, Limits()).samples
    quiet = torch.tensor([0.25, -0.25]).tile(16_000)
    quiet[4_000:4_100] = 0
    quiet[[8_000, 8_100, 12_000]] = torch.tensor([1.0, -1.0, 1.0])
    assert torch.equal(samples, quiet)
    with (
        av.open(str(tmp_path / "out.mp4"), "w") as container,
        Soundtrack(container, probe_audio(path, Limits())) as track,
    ):
        container.mux(list(track.rest()))
    assert probe_audio(tmp_path / "out.mp4", Limits()).duration >= 2


@pytest.mark.parametrize("name", list(KINDS))
def test_probe_and_speech_agree_to_a_sample(tmp_path: Path, name: str) -> None:
    path = write_sound(tmp_path / name, KINDS[name])
    speech = load_speech(path, Limits())
    assert speech.duration == probe_audio(path, Limits()).duration
    assert len(speech.samples) == round(speech.duration * SPEECH_RATE)
    lossless = KINDS[name].codec not in ("aac",)
    assert not lossless or speech.duration == Fraction(16, 5)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a"])
def test_a_fifth_of_a_second_is_enough(tmp_path: Path, name: str) -> None:
    codec = {"wav": "pcm_s16le", "mp3": "libmp3lame", "m4a": "aac"}[name[2:]]
    speech = load_speech(write_sound(tmp_path / name, Tone(0.2, codec=codec)), Limits())
    assert abs(speech.duration - Fraction(1, 5)) < Fraction(1, 40)


def _clicking(folder: Path, late: Fraction) -> Path:
    """A clip of 3.2 s that clicks every second, whose sound starts so much after its picture."""
    start = max(Fraction(0), -late)
    tone = Tone(3.2, clicks=True, codec="pcm_s16le", delay=max(Fraction(0), late))
    times = [start + Fraction(n, 25) for n in range(80)]
    return write_clip(folder / "clip.mov", Clip(frames=80, times=times, sound=tone))


@pytest.mark.parametrize("late", [Fraction(1, 2), Fraction(-1, 4)])
def test_a_reference_s_own_sound_counts_from_its_first_picture(
    tmp_path: Path, late: Fraction
) -> None:
    """It lies under the picture, whichever of both starts first."""
    path = _clicking(tmp_path, late)
    samples = load_speech(path, Limits(), under_picture=True).samples
    shift = float(late)
    for second in (1, 2, 3):
        begin = round((second + shift - 0.2) * SPEECH_RATE)
        near = samples[begin : begin + round(0.4 * SPEECH_RATE)].abs() > 0.3
        at = (begin + int(near.nonzero()[0])) / SPEECH_RATE
        assert at == pytest.approx(second + shift, abs=0.005)


@pytest.mark.parametrize("late", [Fraction(1, 2), Fraction(-1, 4)])
def test_speech_from_a_video_is_whole_wherever_the_picture_starts(
    tmp_path: Path, late: Fraction
) -> None:
    path = _clicking(tmp_path, late)
    speech = load_speech(path, Limits())
    assert speech.duration == Fraction(16, 5) == probe_audio(path, Limits()).duration
    assert list(clicks(speech.samples)) == pytest.approx([1, 2, 3], abs=0.002)


def test_too_long_is_refused_while_decoding(tmp_path: Path) -> None:
    """Without an honest header only the samples tell."""
    path = write_sound(tmp_path / "a.aac", Tone(3.0))
    with pytest.raises(MediaLimitExceeded) as caught:
        load_speech(path, Limits(max_audio_s=2.0))
    assert caught.value.detail["max"] == 2.0


def test_a_silent_video_has_no_speech(tmp_path: Path) -> None:
    with pytest.raises(NoAudio):
        load_speech(write_clip(tmp_path / "v.mp4", Clip(frames=2)), Limits())


@pytest.mark.parametrize(("field", "offset", "value"), [("rate", 24, 1), ("rate", 24, 2**31 - 1)])
def test_impossible_rates_are_refused_by_name(
    tmp_path: Path, field: str, offset: int, value: int
) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(0.2, codec="pcm_s16le"))
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = value.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputUnreadable) as caught:
        load_speech(path, Limits())
    assert field in caught.value.detail


def test_sound_comes_in_pieces_without_holes(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mka", KINDS["a.mka"])
    with open_sound(path, Limits()) as track:
        end = 0
        for frame in track.frames():
            assert frame.pts == end
            assert frame.samples <= track.rate
            end += frame.samples


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal"])
def test_sound_of_eight_planes_and_more_does_not_end_the_process(
    tmp_path: Path, layout: str
) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        stream.codec_context.layout = layout
        tone = (9_000 * np.sin(np.arange(48_000) / 20)).astype(np.int16)
        count = stream.codec_context.channels
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, count)[None], "s16", layout)
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    code = (
        "import sys; from pathlib import Path; from pipeline.reading.audio import load_speech\n"
        "from pipeline.types import Limits\n"
        "print(float(load_speech(Path(sys.argv[1]), Limits()).samples.abs().max()) > 0.1)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_channels_that_no_mix_is_known_for_are_named(tmp_path: Path) -> None:
    path = tmp_path / "desk.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(9)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(9 * 2 * 1600))
    with pytest.raises(InputUnreadable, match=r"9 channels, s16.*save it as mono or stereo"):
        probe_audio(path, Limits())
