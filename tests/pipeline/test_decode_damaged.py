"""A damaged reference holds a picture where one is missing, and shifts nothing."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from pipeline.errors import InputUnreadable
from tests.pipeline.reading import facts, numbers, read
from tests.support.media import Clip, write_clip


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
