"""Decoded pictures are kept while there is room, and a full disk costs nothing but time."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from pipeline.reading import cursor, kept_pictures
from pipeline.reading.decode import FrameReader
from pipeline.reading.kept_pictures import KeptPictures
from pipeline.reading.probe import probe_video
from pipeline.reading.upright import Planes
from pipeline.types import Frame, Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, write_clip

SIZE = 192 * 128 * 3 // 2
FRAMES = 40


def _reader(folder: Path, store: KeptPictures | None) -> FrameReader:
    path = folder / "clip.mp4"
    if not path.exists():
        write_clip(path, Clip(frames=FRAMES, gop=12))
    return FrameReader(probe_video(path, Limits(), RenderOptions()), 1, folder, store)


def _same(one: list[Frame], other: list[Frame]) -> bool:
    return len(one) == len(other) and all(
        a.index == b.index
        and all(torch.equal(p, q) for p, q in zip(_planes(a), _planes(b), strict=True))
        for a, b in zip(one, other, strict=True)
    )


def _planes(frame: Frame) -> Planes:
    return frame.y, frame.u, frame.v


def _there_and_back() -> list[int]:
    return [*range(FRAMES), *reversed(range(FRAMES))]


def test_a_second_pass_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with KeptPictures(192, 128, tmp_path) as store:
        reader = _reader(tmp_path, store)
        first = list(reader.read(range(FRAMES)))
        assert len(store) == FRAMES
        monkeypatch.setattr(cursor.Cursor, "go", None)  # whoever decodes fails
        assert _same(list(reader.read(range(FRAMES))), first)
        assert _same(list(reader.read(range(FRAMES - 1, -1, -1))), first[::-1])


@pytest.mark.parametrize("room", [0, 1, 17, 39])
def test_what_has_no_room_is_decoded_again(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_pictures, "MOST_BYTES", room * SIZE)
    plain = list(_reader(tmp_path, None).read(_there_and_back()))
    with KeptPictures(192, 128, tmp_path) as store:
        reader = _reader(tmp_path, store)
        for _ in range(2):
            assert _same(list(reader.read(_there_and_back())), plain)
        assert len(store) == room


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_gives_the_room_back_and_goes_on(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = list(_reader(tmp_path, None).read(range(FRAMES)))
    write, written = os.pwritev, 0

    def full(file: int, parts: list[memoryview], offset: int) -> int:
        nonlocal written
        written += 1
        if written > 9:
            raise OSError(code, os.strerror(code))
        return write(file, parts, offset)

    monkeypatch.setattr(os, "pwritev", full)
    with KeptPictures(192, 128, tmp_path) as store:
        assert _same(list(_reader(tmp_path, store).read(range(FRAMES))), plain)
        assert len(store) == 0
        assert store.get(0) is None
    assert written == 10  # and asks no more


def test_a_picture_written_in_small_parts_comes_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwritev

    def short(file: int, parts: list[memoryview], offset: int) -> int:
        return write(file, [parts[0][:1000]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    with KeptPictures(192, 128, tmp_path) as store:
        first = list(_reader(tmp_path, store).read(range(3)))
        assert _same(list(_reader(tmp_path, store).read(range(3))), first)


def test_nothing_lies_about_and_all_room_is_given_back(tmp_path: Path) -> None:
    reader_folder = tmp_path / "clip"
    scratch = tmp_path / "scratch"
    reader_folder.mkdir()
    scratch.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with KeptPictures(192, 128, scratch) as store:
        list(_reader(reader_folder, store).read(range(5)))
        assert list(scratch.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert store.get(0) is None


def test_the_room_follows_from_disk_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_pictures, "_available_memory", lambda: 8 * 5 * SIZE)
    with KeptPictures(192, 128, tmp_path) as store:
        list(_reader(tmp_path, store).read(range(9)))
        assert len(store) == 5
    assert 0 < kept_pictures._room(tmp_path) <= kept_pictures.MOST_BYTES
    with KeptPictures(192, 128, tmp_path / "nowhere") as store:
        assert len(list(_reader(tmp_path, store).read(range(3)))) == 3
        assert len(store) == 0
