"""A damaged reference holds a picture where one is missing, and shifts nothing."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipeline.errors import InputUnreadable
from pipeline.reading.audio import load_speech
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.pipeline.reading.calls import facts, numbers, read
from tests.support.media import Clip, Tone, number_of, write_clip


def _damaged(path: Path, first: int, last: int) -> Path:
    """Overwrite the data of some packets in file order."""
    with av.open(str(path)) as container:
        spots = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in spots[first:last]:
        assert position is not None
        data[position : position + size] = os.urandom(1) * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_broken_packets_hold_a_picture_and_shift_nothing(tmp_path: Path, codec: str) -> None:
    options = {"bf": "0"} if codec == "libx264" else {}
    pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
    clip = Clip(frames=60, gop=12, codec=codec, pix_fmt=pix_fmt, options=options)
    path = _damaged(write_clip(tmp_path / "clip.mov", clip), 26, 30)
    got = numbers(read(path))
    assert len(got) == 60
    assert got[:26] == list(range(26))
    assert got[36:] == list(range(36, 60))
    assert set(got[26:30]) <= {25}


def test_a_broken_group_holds_the_last_good_picture_also_backwards(tmp_path: Path) -> None:
    clip = Clip(frames=60, gop=10, options={"bf": "0"})
    path = _damaged(write_clip(tmp_path / "clip.mp4", clip), 20, 30)
    want = [*range(20), *[19] * 10, *range(30, 60)]
    assert numbers(read(path)) == want
    assert numbers(read(path, range(59, -1, -1))) == want[::-1]
    assert numbers(read(path, [25, 29, 31, 20])) == [19, 19, 31, 19]


def test_a_broken_beginning_shows_the_first_good_picture(tmp_path: Path) -> None:
    clip = Clip(frames=30, gop=10, options={"bf": "0"})
    path = _damaged(write_clip(tmp_path / "clip.mp4", clip), 0, 10)
    assert numbers(read(path)) == [*[10] * 10, *range(10, 30)]


def test_a_cut_tail_is_not_counted(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", Clip(frames=60, muxer={"movflags": "faststart"}, options={"bf": "0"})
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    got = numbers(read(path))
    assert 20 < len(got) < 60
    assert got[:-1] == list(range(len(got) - 1))
    assert got[-1] in (len(got) - 1, len(got) - 2)


def test_nothing_that_decodes_is_an_error(tmp_path: Path) -> None:
    path = _damaged(write_clip(tmp_path / "clip.mp4", Clip(frames=20)), 0, 20)
    with pytest.raises(InputUnreadable):
        facts(path)


@pytest.mark.parametrize(("name", "codec"), [("tv.ts", "libx264"), ("tv.mpg", "mpeg2video")])
def test_a_recording_that_was_cut_anywhere_begins_with_a_picture_that_decodes(
    name: str, codec: str, tmp_path: Path
) -> None:
    """One picture stood still for what lies before the first keyframe, with moving lips."""
    clip = Clip(
        width=352,
        height=288,
        frames=100,
        gop=50,
        codec=codec,
        sound=Tone(4.0, codec="mp2", clicks=True),
        options={"bf": "0", "sc_threshold": "0"},
    )
    path = write_clip(tmp_path / name, clip)
    whole = path.read_bytes()
    path.write_bytes(whole[len(whole) // 4 // 188 * 188 :])
    video = probe_video(path, Limits(), RenderOptions())
    assert (video.fps, video.frames, video.variable_rate) == (Fraction(25), 50, False)
    found = [number_of(frame.y) for frame in FrameReader(video, 1).read(range(50))]
    assert found == list(range(50, 100))
    heard = load_speech(path, Limits(), under_picture=True).samples.abs()
    click = int((heard[4_000:20_000] > 0.3).nonzero()[0]) + 4_000  # of the third second
    assert click / 16_000 == pytest.approx(1.0, abs=0.1)


def test_of_a_cut_recording_before_a_whole_one_both_are_shown(tmp_path: Path) -> None:
    clip = Clip(width=352, height=288, frames=60, gop=30, options={"bf": "0"})
    whole = write_clip(tmp_path / "tv.ts", clip).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(whole[len(whole) // 4 // 188 * 188 :] + whole)
    video = probe_video(path, Limits(), RenderOptions())
    assert video.frames == 90
    found = [number_of(frame.y) for frame in FrameReader(video, 1).read(range(90))]
    assert found == [*range(30, 60), *range(60)]
