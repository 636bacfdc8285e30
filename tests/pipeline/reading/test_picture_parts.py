"""Heads of picture files are walked through, whatever lies in them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipeline.reading.icc_profile import has_foreign_profile
from pipeline.reading.picture_parts import MOST_BEFORE, jpeg_head, png_chunks, png_head
from pipeline.reading.picture_size import claimed_size
from tests.support.profiles import DISPLAY_P3, make_profile

FILL = b"\xff" * 5


def saved(kind: str, **more: object) -> bytes:
    held = BytesIO()
    Image.new("RGB", (70, 40), (90, 80, 70)).save(held, kind, **more)
    return held.getvalue()


def test_the_chunks_of_a_png_come_in_order_with_their_data() -> None:
    file = BytesIO(saved("PNG"))
    found = [(kind, length, file.read(length)) for kind, length in png_chunks(file)]
    assert [kind for kind, _, _ in found] == [b"IHDR", b"IDAT", b"IEND"]
    assert all(len(data) == length for _, length, data in found)
    assert [kind for kind, _ in png_head(file)] == [b"IHDR"]


@pytest.mark.parametrize("length", [0, 7, 8, 15, 20, 60])
def test_a_png_that_ends_early_ends_its_chunks(length: int) -> None:
    assert len(list(png_chunks(BytesIO(saved("PNG")[:length])))) <= 2


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_a_picture_claims_its_size(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(saved(kind))
    assert claimed_size(path) == (70, 40)
    path.write_bytes(saved(kind)[:25])
    assert claimed_size(path) is None


def test_fill_bytes_before_a_segment_hide_neither_size_nor_profile(tmp_path: Path) -> None:
    whole = saved("JPEG", icc_profile=make_profile(DISPLAY_P3))
    places = [whole.index(mark) for mark in (b"\xff\xe2", b"\xff\xc0")]
    filled = b"".join(
        FILL + whole[start:stop] if start else whole[start:stop]
        for start, stop in zip([0, *places], [*places, None], strict=True)
    )
    path = tmp_path / "filled.jpg"
    path.write_bytes(filled)
    assert claimed_size(path) == (70, 40)
    assert has_foreign_profile(path)


def test_a_head_without_end_is_given_up() -> None:
    segments = b"\xff\xfe\0\4ab" * (2 * MOST_BEFORE)
    assert len(list(jpeg_head(BytesIO(b"\xff\xd8" + segments)))) == MOST_BEFORE
    chunks = (b"\0\0\0\0teSt" + bytes(4)) * (2 * MOST_BEFORE)
    assert len(list(png_head(BytesIO(b"\x89PNG\r\n\x1a\n" + chunks)))) == MOST_BEFORE


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_shorter_than_its_length_ends_the_head(length: int) -> None:
    broken = b"\xff\xd8\xff\xfe" + length.to_bytes(2, "big") + bytes(50)
    assert list(jpeg_head(BytesIO(broken))) == []


def test_other_files_have_no_parts() -> None:
    for content in (b"", b"RIFF", saved("GIF")):
        assert not list(png_chunks(BytesIO(content)))
        assert not list(jpeg_head(BytesIO(content)))
