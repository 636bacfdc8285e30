"""Recordings put one behind the other are said to be so where only the first is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.reading.joined import joined_warnings
from pipeline.reading.probe import probe_video
from pipeline.reading.spans import Span, boxes
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


@pytest.mark.parametrize("time", [b"tfdt", b"free"])
def test_fragments_each_behind_an_index_are_one_recording(tmp_path: Path, time: bytes) -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    clip = Clip(frames=40, options={"bf": "0", "g": "8"}, muxer=fragments)
    path = write_clip(tmp_path / "film.mp4", clip)
    parts = _parts(path)
    index = parts[b"ftyp"][0] + parts[b"moov"][0]
    pieces = zip(parts[b"moof"], parts[b"mdat"], strict=True)
    film = b"".join(index + head + data for head, data in pieces).replace(b"tfdt", time)
    path.write_bytes(film)
    assert film.count(b"moov") == 5
    assert probe_video(path, Limits(), RenderOptions()).frames == 40
    assert joined_warnings(path, path) == []


def test_a_copy_of_the_index_at_the_end_is_no_recording(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "film.mp4", Clip(frames=40, muxer={"movflags": "faststart"}))
    path.write_bytes(path.read_bytes() + _parts(path)[b"moov"][0])
    assert probe_video(path, Limits(), RenderOptions()).frames == 40
    assert joined_warnings(path, path) == []


def _parts(path: Path) -> dict[bytes, list[bytes]]:
    """The boxes of a film, by their names."""
    data = path.read_bytes()
    found: dict[bytes, list[bytes]] = {}
    with path.open("rb") as file:
        for box in boxes(file, Span(0, 0, len(data))):
            name = box.kind.to_bytes(4, "big")
            found.setdefault(name, []).append(data[box.begin - 8 : box.end])
    return found
