"""Media is told from what is not by its first bytes."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from consumer.remote.sniff import HEAD, looks_like_text, media_kind


def _sound(container: str, codec: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=16000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            (np.sin(np.arange(16000) / 9) * 9000).astype(np.int16)[None], "s16", "mono"
        )
        frame.rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("mp3", "libmp3lame"),
        ("adts", "aac"),
        ("mp4", "aac"),
        ("mov", "aac"),
        ("matroska", "aac"),
        ("mpegts", "aac"),
        ("aiff", "pcm_s16be"),
        ("au", "pcm_s16be"),
        ("caf", "pcm_s16le"),
        ("avi", "pcm_s16le"),
        ("w64", "pcm_s16le"),
    ],
)
def test_files_of_usual_containers_are_media(container: str, codec: str) -> None:
    assert media_kind(_sound(container, codec)[:HEAD]) is not None


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"ID3\x04", "mp3"),
        (b"wvpk", "wavpack"),
        (b"#!AMR\n", "amr"),
        (b"FLV\x01\x05", "flv"),
        (b"0&\xb2u\x8ef\xcf\x11", "asf"),
        (b"\x00\x00\x01\xba\x44", "mpeg"),
        (b"\x00\x00\x01\xb3\x14", "mpeg"),
        (b"\x00\x00\x00\x01\x67", "h26x"),
        (b"\x06\x0e+4\x02\x05\x01\x01", "mxf"),
        (b"\x1f\x07\x00\xbf", "dv"),
        (b"#!SILK_V3", "silk"),
        (b"\x02#!SILK_V3", "silk"),
        (b"II*\x00", "tiff"),
        (b"MM\x00*", "tiff"),
        (b"FORM\x00\x00\x10\x00AIFC", "aiff"),
        *((b"\x00\x00\x00\x08" + box, "mp4") for box in (b"wide", b"free", b"skip", b"styp")),
    ],
)
def test_kinds_that_no_library_here_writes_are_known_by_their_magic_numbers(
    head: bytes, kind: str
) -> None:
    assert media_kind(head) == kind


@pytest.mark.parametrize("kind", [b"RF64", b"BW64", b"RIFX"])
def test_large_and_turned_recordings_are_media(kind: bytes) -> None:
    assert media_kind(kind + b"\xff\xff\xff\xffWAVEds64") == "wav"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_every_kind_of_picture_is_taken_for_media(kind: str) -> None:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, kind)
    assert media_kind(out.getvalue()[:HEAD]) is not None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<html>",
        b"{}",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x7fELF",
        b"MZ",
        b"#EXTM3U\n",
        b"RIFFxxxxACON",
    ],
)
def test_pages_programs_and_archives_are_not_taken_for_media(head: bytes) -> None:
    assert media_kind(head) is None


def test_a_web_page_is_told_from_other_text_and_from_bytes() -> None:
    assert looks_like_text(b"\xef\xbb\xbf \n<!DOCTYPE HTML>") == "a web page"
    for tag in (b"<HTML lang=en>", b"<head>", b"<script>", b"<body>"):
        assert looks_like_text(tag) == "a web page"
    for text in (b"<?xml version='1.0'?>", b"[1]", b"<Error>", b"gone\r\n", b"tab\t\f"):
        assert looks_like_text(text) == "text"
    assert looks_like_text(b"") is None
    assert looks_like_text(b"bell\x07") is None
    assert looks_like_text(b'{"a": 1}') == "text"
    assert looks_like_text(b"\x00\x01\x02") is None


def test_a_camcorder_s_transport_stream_is_media() -> None:
    stream = _sound("mpegts", "aac")
    packets = (stream[at : at + 188] for at in range(0, len(stream), 188))
    assert media_kind(b"".join(bytes(4) + packet for packet in packets)[:HEAD]) == "mpegts"
