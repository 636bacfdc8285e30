"""Why a file does not open as media, in words that help whoever sent it.

libavformat says "Invalid data found" of a web page, of a file of zeros, and of a recording that was
cut short alike.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import av

from pipeline.reading.spans import Span, boxes, named

KINDS = (
    "MP4, MOV, MKV, WebM, AVI, MPEG, MXF, DV, FLV, WMV, GIF, JPEG, PNG, WebP, HEIC, AVIF, BMP; "
    "WAV, MP3, M4A, AAC, FLAC, Ogg, AMR, AIFF, CAF, WMA"
)
"""What is read, as people call it."""
_MOV = "mov,mp4,m4a,3gp,3g2,mj2"
_HEAD, _WORDS = 4096, 64
"""Bytes that are looked at: for zeros, and for letters alone."""
_INDEXES = frozenset(map(named, (b"moov", b"moof")))
_SILK = (b"#!SILK_V3", b"\x02#!SILK_V3")
_LISTS = (b"#EXTM3U", b"[playlist]", b"<?xml")
_SEGMENTS = (b"styp", b"moof", b"sidx")
_TEXT = frozenset((*b"\t\n\f\r", *range(0x20, 0x7F)))


def reason(path: Path, kind: str | None, error: BaseException) -> str:
    """What is wrong with a file, and what to do.

    Nothing of its content is told: it may be a secret.

    Args:
        kind: the demuxer that its first bytes ask for, if any.
    """
    with suppress(OSError):  # it cannot even be read: the error says so
        seen = _seen(path, kind)
        if seen is not None:
            return seen
    if isinstance(error, av.ArgumentError) or (
        kind is None and isinstance(error, av.InvalidDataError)
    ):
        return f"it is of no kind that is read, which are {KINDS}"
    said = getattr(error, "strerror", None) or str(error)
    return f"{said}; it is damaged or cut short: send it again, or convert it anew"


def _seen(path: Path, kind: str | None) -> str | None:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip(b"\0"):
        return (
            "it begins with zeros, as a copy or an upload leaves it that broke off; send it again"
        )
    if head.startswith(_SILK):
        return "it is SILK, as WeChat and QQ record speech; save it as MP3 or WAV"
    if head.startswith(_LISTS) and any(word in head for word in (b"#EXTM3U", b"File1=", b"<MPD")):
        return "it is a list of files to play, and not the media; send the media file itself"
    if head[4:8] in _SEGMENTS:
        return (
            "it is a piece of a stream (DASH, HLS) that cannot be read without the first one; "
            "send the whole recording as one file"
        )
    if head.startswith((b"%PDF-", b"<svg")) or (head.startswith(b"<?xml") and b"<svg" in head):
        return "it is a document or a drawing (PDF, SVG); save what it shows as PNG or JPEG"
    if _TEXT.issuperset(head[:_WORDS]):
        return "it is text, such as a server's page about an error; send the media file itself"
    if kind == _MOV and not _has_index(path):
        return (
            "its index (moov) is missing, as in a recording or an upload that broke off; "
            "send the whole file"
        )
    return None


def _has_index(path: Path) -> bool:
    """Whether a file of boxes has the one without which nothing in it can be found."""
    with path.open("rb") as file, suppress(struct.error):
        whole = Span(0, 0, file.seek(0, 2))
        return any(box.kind in _INDEXES for box in boxes(file, whole))
    return False
