"""Small pictures that would keep a decoder at work for minutes."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import MediaLimitExceeded
from pipeline.mark.reading import read_labels
from pipeline.reading.picture_work import MOST_SCANS, MOST_TEXTS
from pipeline.reading.probe import probe_video
from pipeline.types import Limits, VideoFacts
from schemas.request import RenderOptions

pytestmark = pytest.mark.timeout(300)


def probe(path: Path) -> VideoFacts:
    return probe_video(path, Limits(), RenderOptions())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, rows: bytes, *before: bytes, interlaced: bool = False) -> Path:
    """A grey one of 64 x 64 pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, interlaced))
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + data + chunk(b"IEND", b""))
    return path


def jpeg(path: Path, more: int, behind: bytes = b"") -> Path:
    """A progressive one of ten scans, the last of them `more` times again."""
    held = io.BytesIO()
    Image.new("RGB", (160, 120), (90, 90, 90)).save(held, "JPEG", progressive=True)
    whole = held.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    path.write_bytes(whole[:-2] + more * last + b"\xff\xd9" + behind)
    return path


@pytest.mark.parametrize("read", [probe, read_labels])
def test_a_png_with_picture_data_without_end_is_refused_by_its_limit(
    tmp_path: Path, read: object
) -> None:
    assert callable(read)
    path = png(tmp_path / "long.png", bytes(300 * 1024**2))
    with pytest.raises(MediaLimitExceeded, match="bytes of picture data, more than 1") as caught:
        read(path)
    assert caught.value.detail["limit"] == "picture_bytes"


def test_a_png_with_texts_without_number_is_refused_by_their_number(tmp_path: Path) -> None:
    texts = [chunk(b"tEXt", b"k%d\0v" % n) for n in range(MOST_TEXTS + 1)]
    with pytest.raises(MediaLimitExceeded, match=rf"texts, more than {MOST_TEXTS}"):
        probe(png(tmp_path / "told.png", bytes(64 * 65), *texts))


def test_a_png_with_texts_a_little_too_much_data_or_interlaced_rows_is_read(tmp_path: Path) -> None:
    texts = [chunk(b"tEXt", b"k%d\0v" % n) for n in range(100)]
    assert probe(png(tmp_path / "a.png", bytes(64 * 65 + 999), *texts)).width == 64
    passes = bytes(8 * 9 * 2 + 8 * 17 + 16 * 17 + 16 * 33 + 32 * 33 + 32 * 65)
    assert probe(png(tmp_path / "b.png", passes, interlaced=True)).width == 64


def test_a_jpeg_with_scans_without_number_is_refused_by_their_number(tmp_path: Path) -> None:
    with pytest.raises(MediaLimitExceeded, match=f"scans, more than {MOST_SCANS}"):
        probe(jpeg(tmp_path / "scans.jpg", MOST_SCANS))


def test_what_phones_keep_behind_a_jpeg_is_not_counted_as_its_scans(tmp_path: Path) -> None:
    film = b"\xff\xda\x00\x02" * (MOST_SCANS + 1)
    assert probe(jpeg(tmp_path / "motion.jpg", 5, film)).width == 160
