"""What a file is by its first bytes: enough to tell media from a web page, no more.

The worker's probe decides whether it plays; this only keeps what is not media at all off the disk.
"""

from __future__ import annotations

HEAD = 512
"""Bytes that `media_kind` wants to see, where the file has so many."""

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"wvpk", "wavpack"),
    (b"caff", "caf"),
    (b".snd", "au"),
    (b"#!AMR", "amr"),
    (b"FLV\x01", "flv"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"riff.\x91\xcf\x11\xa5\xd6(\xdb", "w64"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpeg"),
    (b"\x00\x00\x00\x01", "h26x"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"\x06\x0e+4\x02\x05\x01\x01", "mxf"),
    (b"\x1f\x07\x00", "dv"),
    (b"#!SILK", "silk"),
    (b"\x02#!SILK", "silk"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)
_PACKETS = ((0, 188), (4, 192))
"""Where a transport stream's first packet begins, and how long each is; camcorders (AVCHD, .mts)
put four bytes before each."""
_RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
_FORM = {b"AIFF": "aiff", b"AIFC": "aiff"}
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"})
"""First boxes of ISO 14496-12 and QuickTime files."""


def media_kind(head: bytes) -> str | None:
    """A word for the kind of audio, video or picture file; None when it looks like none."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[4:8] in _BOXES:
        return "mp4"
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX"):
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM":
        return _FORM.get(head[8:12])
    if any(head[at : at + 1] == head[at + step : at + step + 1] == b"G" for at, step in _PACKETS):
        return "mpegts"
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return _mpeg_audio(head)
    return None


def _mpeg_audio(head: bytes) -> str | None:
    """ISO 11172-3 and ADTS headers: a sync word alone is too little."""
    if head[1] & 0xF6 == 0xF0:
        return "aac"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    return "mp3" if version != 1 and layer != 0 and bitrate != 15 and rate != 3 else None


def looks_like_text(head: bytes) -> str | None:
    """`a web page` or `text` when the bytes are that, for a message that helps; else None."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:256].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<body")):
        return "a web page"
    if start.startswith((b"<?xml", b"{", b"[", b"<")):
        return "text"
    return "text" if head and all(b >= 0x20 or b in b"\t\r\n\f" for b in head[:64]) else None
