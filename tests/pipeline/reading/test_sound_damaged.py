"""Of damaged sound all is heard that is there, in its place; what cannot be read is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from pipeline.errors import InputUnreadable
from pipeline.reading import container, decoders
from pipeline.reading.audio import SPEECH_RATE, load_speech
from pipeline.reading.probe import probe_audio
from pipeline.types import Limits
from tests.pipeline.reading.clicks import KINDS, clicks
from tests.support.media import Tone, write_sound


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
    assert list(clicks(load_speech(path, Limits()).samples)) == pytest.approx([1, 2, 3], abs=0.1)


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
    assert list(clicks(samples)) == pytest.approx([1, 2, 3], abs=0.03)


def test_sound_of_which_nothing_is_known_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (container, decoders):
        monkeypatch.setattr(module, "DECODERS", decoders.DECODERS.replace(",aac_latm", ""))
    with pytest.raises(InputUnreadable, match=r"no decoder for its audio codec \(aac_latm\)"):
        probe_audio(_broadcast(tmp_path / "a.ts"), Limits())
