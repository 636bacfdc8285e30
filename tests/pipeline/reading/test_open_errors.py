"""A file that does not open says why, in words that help, and nothing of what it holds."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pipeline.errors import InputUnreadable
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip, write_sound


def _said(path: Path) -> str:
    with pytest.raises(InputUnreadable) as video:
        probe_video(path, Limits(), RenderOptions())
    with pytest.raises(InputUnreadable) as sound:
        probe_audio(path, Limits())
    assert str(sound.value) == str(video.value)
    return str(sound.value)


@pytest.mark.parametrize("name", ["film.mp4", "film.mov"])
def test_a_film_that_was_cut_before_its_index_says_that_it_is_missing(
    tmp_path: Path, name: str
) -> None:
    path = write_clip(tmp_path / name, Clip(frames=40))
    path.write_bytes(path.read_bytes()[:-2000])
    assert "index (moov) is missing" in _said(path)
    assert "send the whole file" in _said(path)


@pytest.mark.parametrize("size", [2**40, 2**63 - 1, 2**64 - 1])
def test_a_box_that_ends_beyond_all_files_says_that_the_index_is_missing(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "film.mp4"
    kind = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom")
    path.write_bytes(kind + struct.pack(">I4sQ", 1, b"mdat", size) + b"\x12" * 5000)
    assert "index (moov) is missing" in _said(path)


@pytest.mark.parametrize("begin", [0, 4096])
def test_a_file_of_zeros_says_so(tmp_path: Path, begin: int) -> None:
    path = write_clip(tmp_path / "film.mp4", Clip(frames=40))
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:] if begin else bytes(9000))
    assert "begins with zeros" in _said(path)


def test_a_page_about_an_error_is_called_text_and_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("<!DOCTYPE html><html><body>token=hunter2 has expired</body></html>\n" * 3)
    assert "it is text" in _said(path)
    assert "hunter2" not in _said(path)


@pytest.mark.parametrize("begin", [b"#!SILK_V3", b"\x02#!SILK_V3"])
def test_a_voice_message_of_wechat_is_called_by_its_name(tmp_path: Path, begin: bytes) -> None:
    path = tmp_path / "msg.amr"
    path.write_bytes(begin + bytes(range(1, 200)) * 20)
    assert "it is SILK, as WeChat and QQ record speech; save it as MP3 or WAV" in _said(path)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:10,\nhttps://a.example/secret/1.ts\n",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>secret',
    ],
)
def test_a_list_of_files_is_called_so_and_not_followed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "film.m3u8"
    path.write_text(text)
    assert "it is a list of files to play" in _said(path)
    assert "secret" not in _said(path)


def test_a_piece_of_a_stream_says_that_its_first_one_is_missing(tmp_path: Path) -> None:
    whole = write_clip(
        tmp_path / "film.mp4", Clip(muxer={"movflags": "frag_keyframe+empty_moov+dash"})
    ).read_bytes()
    path = tmp_path / "seg-7.m4s"
    path.write_bytes(whole[whole.index(b"moof") - 4 :])
    assert "a piece of a stream (DASH, HLS)" in _said(path)


def test_what_is_of_another_kind_is_told_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 40)
    assert "MP4, MOV, MKV" in _said(path)


def test_sound_that_was_cut_in_its_header_says_what_to_do(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac", Tone(1.0, codec="flac"))
    path.write_bytes(path.read_bytes()[:60])
    assert "damaged or cut short: send it again" in _said(path)


@pytest.mark.parametrize(
    "head",
    [b"%PDF-1.7\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<?xml version='1.0'?>\n<svg/>"],
)
def test_a_document_or_a_drawing_is_called_so(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(head + b"\n" * 100)
    assert "a document or a drawing (PDF, SVG); save what it shows as PNG" in _said(path)
