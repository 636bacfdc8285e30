"""The MP4 that comes out: exact clock, the source's colours and words, sound under the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipeline.reading.audio import load_speech
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.timeline import Timeline
from pipeline.types import Color, Frame, Limits
from pipeline.writing.verify import verify
from schemas.request import RenderOptions
from tests.pipeline.writing.calls import BT709, NTSC, encode, encoder, frame_of, speech
from tests.support.media import Tone, number_of, write_sound


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(25, 2), Fraction(1350, 61)])
def test_every_frame_lasts_exactly_one_period(tmp_path: Path, fps: Fraction) -> None:
    audio = speech(tmp_path, 2.0)
    timeline = Timeline.fit(audio.duration, fps, 1)
    path = encode(tmp_path / "out.mp4", audio, timeline.frames, fps=fps)
    facts = verify(path, timeline, audio).media
    assert facts.frames == timeline.frames
    assert Fraction(facts.fps) == fps
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        times = sorted(
            p.pts * stream.time_base for p in container.demux(stream) if p.pts is not None
        )
    assert times == [n / fps for n in range(timeline.frames)]
    again = probe_video(path, Limits(), RenderOptions())
    assert (again.fps, again.frames, again.variable_rate) == (fps, timeline.frames, False)


def test_pictures_come_out_in_order_and_nearly_unchanged(tmp_path: Path) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 2.0), 50, crf=10)
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            luma = frame.to_ndarray()[:128]
            assert number_of(luma) == number
            error = np.abs(luma.astype(int) - frame_of(number).y.numpy()).mean()
            assert error < 1.5


@pytest.mark.parametrize(
    "color", [BT709, Color(6, False, 6, 6), Color(1, True, 1, 1), Color(9, False, 9, 16)]
)
def test_color_tags_are_in_the_stream_and_in_the_container(tmp_path: Path, color: Color) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, color=color)
    facts = probe_video(path, Limits(), RenderOptions())
    assert (facts.source or facts.color) == color
    data = path.read_bytes()
    at = data.index(b"colrnclx")
    words = [int.from_bytes(data[at + 8 + 2 * n : at + 10 + 2 * n], "big") for n in range(3)]
    assert words == [color.primaries, color.transfer, color.matrix]
    assert bool(data[at + 14] >> 7) is color.full_range


def test_full_range_planes_are_not_squeezed(tmp_path: Path) -> None:
    luma = torch.full((128, 192), 255, dtype=torch.uint8)
    chroma = torch.full((64, 96), 128, dtype=torch.uint8)
    path = tmp_path / "out.mp4"
    with encoder(path, speech(tmp_path, 0.04), 1, color=Color(1, True, 1, 1), crf=1) as out:
        out.write(Frame(luma, chroma, chroma, 0))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.color_range == 2
        assert frame.to_ndarray()[:128].min() >= 253


def test_words_of_one_s_own_survive(tmp_path: Path) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5)
    with av.open(str(path)) as container:
        words = dict(container.metadata)
    assert json.loads(words["AIGC"])["Label"] == "1"
    assert words["digitalSourceType"].startswith("http://cv.iptc.org/newscodes/digitalsourcetype/")
    assert "Face2Face" in words["comment"]


def test_the_file_can_be_played_while_it_loads(tmp_path: Path) -> None:
    data = encode(tmp_path / "out.mp4", speech(tmp_path, 1.0), 25).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_sound_and_picture_are_interleaved(tmp_path: Path) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 10.0, 44_100), 250)
    with av.open(str(path)) as container:
        behind = {"video": 0.0, "audio": 0.0}
        for packet in container.demux():
            if packet.dts is not None and packet.time_base is not None:
                behind[packet.stream.type] = float(packet.dts * packet.time_base)
                assert abs(behind["video"] - behind["audio"]) < 2.0


def _clicks(path: Path) -> Iterator[float]:
    samples = load_speech(path, Limits()).samples
    for second in (1, 2, 3):
        start = round((second - 0.3) * 16_000)
        near = samples[start : start + 9600].abs() > 0.3
        yield (start + int(near.nonzero()[0])) / 16_000


@pytest.mark.parametrize(
    ("name", "tone", "rate"),
    [
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=16_000, layout="mono"), 16_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s24le", rate=48_000), 48_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=96_000), 48_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=37_800), 44_100),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=8_000, layout="mono"), 8_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=5_500, layout="mono"), 8_000),
        ("a.mp3", Tone(3.4, clicks=True, codec="libmp3lame", rate=44_100), 44_100),
        ("a.m4a", Tone(3.4, clicks=True, rate=48_000, layout="5.1"), 48_000),
        ("a.ogg", Tone(3.4, clicks=True, codec="libopus", rate=48_000, layout="mono"), 48_000),
    ],
)
def test_sound_starts_with_the_picture_and_lasts_as_long_as_the_source(
    tmp_path: Path, name: str, tone: Tone, rate: int
) -> None:
    audio = probe_audio(write_sound(tmp_path / name, tone), Limits())
    timeline = Timeline.fit(audio.duration, Fraction(25), 1)
    path = encode(tmp_path / "out.mp4", audio, timeline.frames)
    assert verify(path, timeline, audio).media.audio_rate == rate
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        assert sound.rate == rate
        assert sound.channels == min(2, audio.channels)
        assert sound.start_time == 0
        assert sound.duration is not None
        assert sound.time_base is not None
        assert abs(sound.duration * sound.time_base - audio.duration) <= Fraction(3, rate)
    assert list(_clicks(path)) == pytest.approx([1, 2, 3], abs=0.004)


@pytest.mark.slow
def test_ten_minutes_at_29_97_drift_by_nothing(tmp_path: Path) -> None:
    audio = speech(tmp_path, 600.0, 8_000)
    timeline = Timeline.fit(audio.duration, NTSC, 1)
    assert timeline.frames == 17_982
    path = tmp_path / "long.mp4"
    grey = [torch.full((16, 16), 60 + n, dtype=torch.uint8) for n in range(8)]
    chroma = torch.full((8, 8), 128, dtype=torch.uint8)
    with encoder(path, audio, timeline.frames, width=16, height=16, fps=NTSC) as out:
        for number in range(timeline.frames):
            out.write(Frame(grey[number % 8], chroma, chroma, 0))
    facts = verify(path, timeline, audio).media
    assert facts.frames == 17_982
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert video.duration is not None
        assert sound.duration is not None
        assert video.time_base is not None
        assert sound.time_base is not None
        picture_s = video.duration * video.time_base
        sound_s = sound.duration * sound.time_base
    assert picture_s == 17_982 / NTSC
    assert abs(picture_s - sound_s) < 1 / NTSC
