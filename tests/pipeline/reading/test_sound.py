"""Sound is complete, never late, and of one length everywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import InputUnreadable, MediaLimitExceeded, NoAudio
from pipeline.reading import container as opening
from pipeline.reading.audio import SPEECH_RATE, load_speech
from pipeline.reading.probe import probe_audio
from pipeline.reading.sound import open_sound
from pipeline.types import Limits
from pipeline.writing.soundtrack import Soundtrack
from tests.support.media import Clip, Tone, write_clip, write_sound

KINDS = {
    "cd.wav": Tone(3.2, clicks=True, codec="pcm_s16le"),
    "u8.wav": Tone(3.2, clicks=True, codec="pcm_u8", rate=22_050, layout="mono"),
    "s24.wav": Tone(3.2, clicks=True, codec="pcm_s24le", rate=48_000),
    "f32.wav": Tone(3.2, clicks=True, codec="pcm_f32le", rate=96_000),
    "f64.wav": Tone(3.2, clicks=True, codec="pcm_f64le", rate=32_000),
    "alaw.wav": Tone(3.2, clicks=True, codec="pcm_alaw", rate=8_000, layout="mono"),
    "s16.aiff": Tone(3.2, clicks=True, codec="pcm_s16be"),
    "a.mp3": Tone(3.2, clicks=True, codec="libmp3lame"),
    "low.mp3": Tone(3.2, clicks=True, codec="libmp3lame", rate=16_000, layout="mono"),
    "a.m4a": Tone(3.2, clicks=True),
    "low.m4a": Tone(3.2, clicks=True, rate=8_000, layout="mono"),
    "5.1.m4a": Tone(3.2, clicks=True, rate=48_000, layout="5.1"),
    "alac.m4a": Tone(3.2, clicks=True, codec="alac"),
    "a.flac": Tone(3.2, clicks=True, codec="flac"),
    "s32.flac": Tone(3.2, clicks=True, codec="flac", format="s32", rate=48_000),
    "a.ogg": Tone(3.2, clicks=True, codec="libopus", rate=48_000),
    "a.webm": Tone(3.2, clicks=True, codec="libopus", rate=48_000),
    "a.mka": Tone(3.2, clicks=True),
}


def _clicks(samples: torch.Tensor) -> Iterator[float]:
    """Seconds at which the clicks of whole seconds begin, but for the first."""
    for second in (1, 2, 3):
        start = round((second - 0.4) * SPEECH_RATE)
        near = samples[start : start + round(0.8 * SPEECH_RATE)].abs() > 0.3
        yield (start + int(near.nonzero()[0])) / SPEECH_RATE


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_of_sound_is_in_its_place_to_two_milliseconds(tmp_path: Path, name: str) -> None:
    tone = KINDS[name]
    path = write_sound(tmp_path / name, tone)
    speech = load_speech(path, Limits())
    assert list(_clicks(speech.samples)) == pytest.approx([1, 2, 3], abs=0.002)
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
    assert list(_clicks(speech.samples)) == pytest.approx([1, 2, 3], abs=0.002)


def _break_packets(path: Path, first: int, last: int) -> None:
    with av.open(str(path)) as container:
        spots = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in spots[first:last]:
        assert position is not None
        # Matroska counts from its block's own header, which stays whole.
        data[position + 16 : position + size] = b"\xff" * (size - 16)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["a.m4a", "a.mka", "a.webm"])
def test_a_broken_stretch_is_silent_and_shifts_nothing(tmp_path: Path, name: str) -> None:
    tone = KINDS[name]
    path = write_sound(tmp_path / name, tone)
    whole = load_speech(path, Limits())
    _break_packets(path, 60, 75)
    broken = load_speech(path, Limits())
    slack = Fraction(1, 1000) if name != "a.m4a" else 0  # Matroska counts milliseconds
    assert abs(broken.duration - whole.duration) <= slack
    third = round(2.9 * SPEECH_RATE)
    at = (third + int((broken.samples[third:].abs() > 0.3).nonzero()[0])) / SPEECH_RATE
    assert at == pytest.approx(3, abs=0.002)
    if slack == 0:
        assert torch.allclose(broken.samples[third:], whole.samples[third:], atol=0.05)


def test_a_cut_file_gives_what_is_there(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(2.0, codec="pcm_s16le", rate=16_000))
    path.write_bytes(path.read_bytes()[:-32_000])
    assert load_speech(path, Limits()).duration == Fraction(3, 2)


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


@pytest.mark.parametrize("begins", [(0, 5000), (5000, 0), (0, 0)])
def test_recordings_put_one_behind_the_other_follow_without_hours_of_silence(
    begins: tuple[int, int], tmp_path: Path
) -> None:
    parts = []
    for n, begin in enumerate(begins):
        tone = Tone(2.0, rate=48_000, delay=Fraction(begin))
        parts.append(write_sound(tmp_path / f"{n}.ts", tone, "mpegts").read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    assert 4 <= probe_audio(path, Limits(max_audio_s=10)).duration < 4.1
    assert float(load_speech(path, Limits()).samples.abs()[16_000:-16_000].median()) > 0.1


def test_a_hole_in_the_sound_of_a_transport_stream_is_silent(tmp_path: Path) -> None:
    pieces = []
    for begin in (0, 5):
        path = tmp_path / f"{begin}.ts"
        pieces.append(write_sound(path, Tone(2.0, delay=Fraction(begin)), "mpegts").read_bytes())
    path = tmp_path / "hole.ts"
    path.write_bytes(b"".join(pieces))
    assert float(probe_audio(path, Limits()).duration) == pytest.approx(7, abs=0.1)


def test_sound_that_nothing_decodes_leaves_the_other_track_to_be_heard(tmp_path: Path) -> None:
    """As a film's surround sound beside stereo."""
    path = tmp_path / "two.avi"
    tones = (Tone(2.0, codec="pcm_s64le"), Tone(3.2, clicks=True, codec="libmp3lame"))
    with av.open(str(path), "w") as container:
        streams = []
        for tone in tones:
            stream = container.add_stream(tone.codec, rate=tone.rate)
            assert isinstance(stream, av.AudioStream)
            stream.codec_context.layout = tone.layout
            streams.append(stream)
        for stream, tone in zip(streams, tones, strict=True):
            frame = av.AudioFrame.from_ndarray(tone.samples(), "fltp", tone.layout)
            frame.sample_rate, frame.time_base = tone.rate, Fraction(1, tone.rate)
            container.mux([*stream.encode(frame), *stream.encode(None)])
    assert probe_audio(path, Limits()).codec == "mp3"
    assert list(_clicks(load_speech(path, Limits()).samples)) == pytest.approx([1, 2, 3], abs=0.1)


def test_sound_that_nothing_decodes_is_refused_by_the_codecs_name(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(0.5, codec="pcm_s64le"))
    with pytest.raises(InputUnreadable, match=r"pcm_s64le.*; save it as"):
        probe_audio(path, Limits())


def _broadcast(path: Path) -> Path:
    """AAC as European broadcasters pack it (LATM)."""
    tone = Tone(3.2, clicks=True, rate=48_000)
    options = {"mpegts_flags": "latm"}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("aac", rate=tone.rate)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = tone.layout
        frame = av.AudioFrame.from_ndarray(tone.samples(), "fltp", tone.layout)
        frame.sample_rate, frame.time_base = tone.rate, Fraction(1, tone.rate)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_a_broadcast_s_sound_is_heard(tmp_path: Path) -> None:
    samples = load_speech(_broadcast(tmp_path / "a.ts"), Limits()).samples
    assert list(_clicks(samples)) == pytest.approx([1, 2, 3], abs=0.03)


def test_sound_of_which_nothing_is_known_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "DECODERS", opening.DECODERS.replace(",aac_latm", ""))
    with pytest.raises(InputUnreadable, match=r"no decoder for its audio codec \(aac_latm\)"):
        probe_audio(_broadcast(tmp_path / "a.ts"), Limits())
