"""Garbage gives a typed error, soon, whatever it is called."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pipeline.errors import InputError, InputUnreadable
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.hostile.files import GOOD, use

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("name", GOOD)
def test_a_file_cut_anywhere_works_or_gives_a_typed_error(
    good: Path, tmp_path: Path, name: str
) -> None:
    assert use(good / name) & {"video", "audio"}
    data = (good / name).read_bytes()
    cuts = [1, 4, 8, 12, 32, 100, 1000, *(len(data) * k // 10 for k in range(1, 10)), len(data) - 1]
    path = tmp_path / name
    for cut in cuts:
        path.write_bytes(data[:cut])
        assert use(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_a_mutated_file_works_or_gives_a_typed_error(good: Path, tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    data = (good / name).read_bytes()
    path = tmp_path / name
    for _ in range(25):
        path.write_bytes(_mutated(data, rng))
        assert use(path)


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    reach = rng.choice([len(changed), min(len(changed), 4096)])
    for _ in range(rng.choice([1, 4, 16, 64, 256])):
        changed[rng.randrange(reach)] = rng.randrange(256)
    if rng.random() < 0.3:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randrange(2000)]
    return bytes(changed)


def test_an_avi_whose_index_leads_nowhere_is_opened_anew_and_read(
    good: Path, tmp_path: Path
) -> None:
    data = bytearray((good / "a.avi").read_bytes())
    at = data.index(b"idx1") + 36
    data[at : at + 4] = b"\xff\xff\xff\xff"  # where the index says that a chunk lies
    (tmp_path / "a.avi").write_bytes(data)
    assert use(tmp_path / "a.avi") == use(good / "a.avi")


TEXTS = {
    "words": b"Hello, this is no video.\n" * 100,
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "hls to the network": b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile 'a.mp4'\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nhi\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>',
    "metadata": b";FFMETADATA1\ntitle=x\n",
    "zeros": bytes(100_000),
    "noise": random.Random(1).randbytes(100_000),
}


@pytest.mark.parametrize("suffix", [".mp4", ".wav", ".png", ".m3u8", ".ffconcat", ".txt"])
@pytest.mark.parametrize("text", list(TEXTS))
def test_texts_and_playlists_are_refused_whatever_their_name(
    good: Path, tmp_path: Path, text: str, suffix: str
) -> None:
    (tmp_path / "a.mp4").write_bytes((good / "a.mp4").read_bytes())  # what the playlist names
    path = tmp_path / f"input{suffix}"
    path.write_bytes(TEXTS[text])
    with pytest.raises(InputUnreadable):
        probe_video(path, Limits(), RenderOptions())
    with pytest.raises((InputUnreadable, InputError)):
        probe_audio(path, Limits())


def test_only_regular_files_are_opened(good: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / "empty.mp4").touch()
    bad = [
        tmp_path,
        tmp_path / "nothing.mp4",
        *(tmp_path / f"{name}.mp4" for name in ("fifo", "loop", "dangling", "empty")),
        Path("/dev/zero"),
        Path("/dev/null"),
        tmp_path / ("x" * 5000),
        tmp_path / "nul\0l.mp4",
    ]
    for path in bad:
        with pytest.raises(InputUnreadable):
            probe_video(path, Limits(), RenderOptions())
        with pytest.raises(InputUnreadable):
            probe_audio(path, Limits())
    (tmp_path / "link.mp4").symlink_to(good / "a.mp4")
    assert probe_video(tmp_path / "link.mp4", Limits(), RenderOptions()).frames == 30


@pytest.mark.parametrize(
    "name", ["wrong.jpg", "wrong.txt", "wrong.m3u8", "x%03d.png", "concat:a|b.mp4", "*.png", "-i"]
)
def test_a_file_is_read_by_its_content_whatever_its_name(
    good: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes((good / "a.mp4").read_bytes())
    assert use(tmp_path / name) == {"video", "audio"}
