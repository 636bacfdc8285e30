"""The folder of kept avatars stays within its bound, and nothing else in it is touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from consumer.avatar_disk import DRAFT_S, NAME, owned, trim

VIDEO = "ab" * 32
PART = "track-0123456789ab"


def put(folder: Path, number: int, size: int = 100, used: float = 0.0, part: str = PART) -> Path:
    path = folder / VIDEO / part / f"{number}-{number:020x}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (used, used))
    return path


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    files = [put(tmp_path, n, used=used) for n, used in enumerate((30, 10, 20, 40))]
    assert trim(tmp_path, 250) == 200
    assert [path.exists() for path in files] == [True, False, False, True]
    assert trim(tmp_path, 250) == 200


def test_a_limit_of_nothing_leaves_no_folder_behind(tmp_path: Path) -> None:
    put(tmp_path, 1)
    put(tmp_path, 2, part="viseme-1-0123456789ab")
    assert trim(tmp_path, 0) == 0
    assert list(tmp_path.iterdir()) == []
    assert trim(tmp_path / "absent", 0) == 0


def test_a_full_disk_makes_all_kept_avatars_go(tmp_path: Path) -> None:
    put(tmp_path, 1)
    assert trim(tmp_path, 1000, keep_free=shutil.disk_usage(tmp_path).total) == 0


def test_what_is_not_ours_stays_and_dead_drafts_go(tmp_path: Path) -> None:
    path = put(tmp_path, 1)
    foreign = tmp_path / "notes.txt"
    foreign.write_text("mine", encoding="utf-8")
    near = path.with_name("1-xyz.safetensors")
    near.write_bytes(b"x")
    fresh, dead = path.with_name(".1-a.tmp"), path.with_name(".1-b.tmp")
    for draft in (fresh, dead):
        draft.write_bytes(b"x")
    os.utime(dead, (0, 0))
    assert DRAFT_S > 60
    trim(tmp_path, 0)
    assert [p.exists() for p in (path, foreign, near, fresh, dead)] == [
        False, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        f"{VIDEO}/../{VIDEO}/{PART}/1-{1:020x}.safetensors",
        f"{VIDEO}/..{PART}/1-{1:020x}.safetensors",
        f"{VIDEO}/{PART}/1-{1:020x}.safetensors\n",
        f"/{VIDEO}/{PART}/1-{1:020x}.safetensors",
        f"{VIDEO}/{PART}/1-{2:020x}.safetensors",
        f"{VIDEO}/{PART}",
    ],
)
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    put(tmp_path, 1)
    assert owned(tmp_path, name) is None


def test_links_in_the_folder_are_neither_followed_nor_removed(tmp_path: Path) -> None:
    folder, secret = tmp_path / "avatars", tmp_path / "secret"
    secret.write_text("s", encoding="utf-8")
    path = put(folder, 1)
    name = path.relative_to(folder).as_posix()
    assert NAME.fullmatch(name)
    assert owned(folder, name) == path
    path.unlink()
    path.symlink_to(secret)
    assert owned(folder, name) is None
    shutil.rmtree(path.parent)
    outside = put(tmp_path / "other", 1).parent
    path.parent.symlink_to(outside)
    assert owned(folder, name) is None
