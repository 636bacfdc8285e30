"""Recordings put one behind the other are said to be so where only the first is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.reading.joined import joined_warnings
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, write_clip

KINDS = [
    ("film.mp4", {}),
    ("film.mov", {"movflags": "faststart"}),
    ("film.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ("film.flv", {}),
    ("film.wmv", {}),
]


@pytest.mark.parametrize(("name", "muxer"), KINDS)
def test_recordings_of_which_the_first_alone_is_read_are_told(
    tmp_path: Path, name: str, muxer: dict[str, str]
) -> None:
    clip = Clip(frames=40, options={"bf": "0"}, muxer=muxer)
    one = write_clip(tmp_path / name, clip)
    two = tmp_path / f"two {name}"
    two.write_bytes(one.read_bytes() * 2)
    assert probe_video(two, Limits(), RenderOptions()).frames == 40
    assert joined_warnings(one, one) == []
    (told,) = joined_warnings(one, two)
    assert told.startswith("the reference holds several recordings")
    assert len(joined_warnings(two, two)) == 2


def test_one_recording_alone_is_told_nothing_of_whatever_it_is(tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mkv", Clip(frames=12))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(b"\0\0\0\x18ftypisom" + bytes(3))
    assert joined_warnings(film, cut) == []
