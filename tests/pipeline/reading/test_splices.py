"""A hole in one stream is told from another recording by the streams beside it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.reading.audio import SPEECH_RATE, load_speech
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.reading.splices import _Run
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import number_of, picture

FPS, RATE, BLOCK = 25, 48_000, 1152
KINDS = {"a.ts": ("mpegts", "aac"), "a.mpg": ("mpeg", "mp2"), "a.flv": ("flv", "aac")}
MUXERS = {**KINDS, "a.mkv": ("matroska", "aac")}
NOBODY = range(0)


def _film(
    path: Path, seconds: int, *, silent: range = NOBODY, dark: range = NOBODY, late: int = 0
) -> Path:
    """A film with a tone, whose sound or pictures lack in some of its seconds."""
    kind, codec = MUXERS[f"a{path.suffix}"]
    with av.open(str(path), "w", format=kind) as container:
        shown = container.add_stream("libx264" if kind != "mpeg" else "mpeg2video", rate=FPS)
        assert isinstance(shown, av.VideoStream)
        shown.width, shown.height, shown.pix_fmt = 192, 128, "yuv420p"
        shown.codec_context.gop_size, shown.codec_context.max_b_frames = 5, 0
        heard = container.add_stream(codec, rate=RATE)
        assert isinstance(heard, av.AudioStream)
        heard.codec_context.layout = "mono"
        wave = (0.4 * np.sin(np.arange(seconds * RATE) / 20)).astype(np.float32)
        done = 0
        for number in range(seconds * FPS):
            at = number / FPS
            if int(at) not in dark:
                frame = av.VideoFrame.from_ndarray(picture(number, 192, 128), "rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = number + late * FPS, Fraction(1, FPS)
                container.mux(shown.encode(frame))
            while done / RATE <= at:
                if int(done / RATE) not in silent:
                    block = np.ascontiguousarray(wave[None, done : done + BLOCK])
                    sound = av.AudioFrame.from_ndarray(block, "fltp", "mono")
                    sound.sample_rate, sound.time_base = RATE, Fraction(1, RATE)
                    sound.pts = done + late * RATE
                    container.mux(heard.encode(sound))
                done += BLOCK
        container.mux([*shown.encode(None), *heard.encode(None)])
    return path


def _loud(path: Path) -> list[bool]:
    """Of each second of the speech, whether it is heard."""
    samples = load_speech(path, Limits()).samples
    return [
        bool(samples[n * SPEECH_RATE + 4000 : (n + 1) * SPEECH_RATE - 4000].abs().mean() > 0.1)
        for n in range(len(samples) // SPEECH_RATE)
    ]


@pytest.mark.parametrize("name", list(KINDS))
def test_sound_that_lacks_for_long_under_pictures_is_silent_so_long(
    tmp_path: Path, name: str
) -> None:
    path = _film(tmp_path / name, 16, silent=range(2, 14))
    assert float(probe_audio(path, Limits()).duration) == pytest.approx(16, abs=0.2)
    assert _loud(path)[:15] == [True] * 2 + [False] * 12 + [True]


@pytest.mark.parametrize("name", ["a.ts", "a.flv"])
def test_pictures_that_lack_for_long_over_sound_stand_still_so_long(
    tmp_path: Path, name: str
) -> None:
    path = _film(tmp_path / name, 16, dark=range(2, 14))
    video = probe_video(path, Limits(), RenderOptions())
    assert float(video.duration) == pytest.approx(16, abs=0.2)
    seconds = [round(n * video.fps) for n in (1, 5, 12, 15)]
    shown = [number_of(frame.y) for frame in FrameReader(video, 1).read(seconds)]
    assert shown == pytest.approx([25, 49, 49, 375], abs=1)


@pytest.mark.parametrize("late", [18, 5000])
def test_where_sound_and_pictures_jump_together_another_recording_begins(
    tmp_path: Path, late: int
) -> None:
    parts = [_film(tmp_path / f"{n}.ts", 4, late=n).read_bytes() for n in (0, late)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    assert float(probe_audio(path, Limits()).duration) == pytest.approx(8, abs=0.2)
    assert float(probe_video(path, Limits(), RenderOptions()).duration) == 8


def test_matroska_that_goes_back_in_time_is_two_recordings_one_behind_the_other(
    tmp_path: Path,
) -> None:
    part = _film(tmp_path / "one.mkv", 4).read_bytes()
    path = tmp_path / "both.mkv"
    path.write_bytes(part + part)
    video = probe_video(path, Limits(), RenderOptions())
    assert (video.frames, video.fps) == (200, Fraction(FPS))
    shown = [number_of(frame.y) for frame in FrameReader(video, 1).read([99, 100, 199, 50])]
    assert shown == [99, 0, 99, 50]


def test_a_picture_that_stands_for_long_in_matroska_is_no_other_recording(tmp_path: Path) -> None:
    dark = range(2, 14)
    path = _film(tmp_path / "slides.mkv", 16, silent=dark, dark=dark)
    assert float(probe_video(path, Limits(), RenderOptions()).duration) == pytest.approx(
        16, abs=0.2
    )


@pytest.mark.parametrize(
    ("beside", "bridges"),
    [
        (_Run(5, 150, 0, 40), True),
        (_Run(101, 150, 0, 40), False),
        (_Run(5, 49, 0, 40), False),
        (_Run(5, 150, 9, 40), True),
        (_Run(5, 150, 21, 40), False),
        (_Run(5, 150, 0, 21), False),
    ],
    ids=["goes on", "after it", "before it", "begins a little later", "later", "ends sooner"],
)
def test_a_hole_is_where_another_stream_goes_on_there_in_the_file(
    beside: _Run, bridges: bool
) -> None:
    """Ten seconds in the file's first packets, and ten from the thirtieth on behind them."""
    before, after = _Run(0, 50, 0, 10), _Run(100, 200, 30, 40)
    assert beside.bridges(before, after) is bridges


def test_time_that_jumps_back_is_no_hole() -> None:
    before, after = _Run(0, 50, 30, 40), _Run(100, 200, 0, 10)
    assert not _Run(5, 150, 0, 40).bridges(before, after)
