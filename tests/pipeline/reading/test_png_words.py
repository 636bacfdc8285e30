"""Words beside the picture of a PNG are bounded by what they unpack to."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from pipeline.errors import MediaLimitExceeded
from pipeline.reading.png_words import MOST_WORDS
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(path: Path, *words: bytes) -> Path:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(bytes(64 * (64 * 3 + 1))))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(words) + data + _chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize(
    ("kind", "before"),
    [(b"zTXt", b"k\0\0"), (b"iCCP", b"xylophone\0\0"), (b"iTXt", b"k\0\1\0en\0k\0")],
)
def test_a_little_file_whose_words_unpack_to_much_is_refused(
    kind: bytes, before: bytes, tmp_path: Path
) -> None:
    bomb = _chunk(kind, before + zlib.compress(bytes(MOST_WORDS + 1), 9))
    with pytest.raises(MediaLimitExceeded, match="unpack") as caught:
        probe_video(_png(tmp_path / "bomb.png", bomb), Limits(), RenderOptions())
    assert caught.value.detail["limit"] == "png_words"


def test_many_words_that_are_small_alone_count_together(tmp_path: Path) -> None:
    words = _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MOST_WORDS // 4), 9))
    with pytest.raises(MediaLimitExceeded, match="unpack"):
        probe_video(_png(tmp_path / "bomb.png", *[words] * 5), Limits(), RenderOptions())


def test_usual_words_are_read_over(tmp_path: Path) -> None:
    words = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a picture" * 1000))
    broken = _chunk(b"zTXt", b"Comment\0\0xxx")
    facts = probe_video(_png(tmp_path / "p.png", words, broken), Limits(), RenderOptions())
    assert (facts.width, facts.height) == (64, 64)
