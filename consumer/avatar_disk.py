"""The bounded folder of kept avatars: the least recently used ones go first.

    <folder>/<sha256 of the video>/<track or engine>-…/<frames>-<digest>.safetensors

Any number of processes may share it: files appear by a rename, are never changed, and whoever has
one open keeps it when it goes. What the files hold is `pipeline.avatars`' business.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(
    r"(?P<video>[0-9a-f]{64})/(?P<part>[A-Za-z0-9][A-Za-z0-9._-]{0,127})/[0-9]{1,9}-[0-9a-f]{20}\.safetensors"
)
"""What may be a file of the folder, and an object under `avatars/`."""
DRAFT = ".tmp"
DRAFT_S = 3600.0
"""Age at which a draft belongs to a dead process."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    size: int
    used: float


def trim(folder: Path, limit: int, keep_free: int = 0) -> int:
    """Remove the least recently used files until the rest fits; blocks.

    Args:
        folder: of all avatars; may be missing.
        limit: bytes that may stay.
        keep_free: bytes of its disk that shall be free, as far as avatars are what fills it.

    Returns:
        Bytes that stay.
    """
    entries = sorted(_entries(folder), key=lambda entry: entry.used)
    total = sum(entry.size for entry in entries)
    for entry in entries:
        if total <= limit and _free(folder) >= keep_free:
            break
        _remove(entry.path, folder)
        total -= entry.size
    return total


def owned(folder: Path, name: str) -> Path | None:
    """The file of a name, if it is one and lies in the folder; no link leads out of it."""
    if not NAME.fullmatch(name):
        return None
    path = folder / name
    try:
        whole = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return path if whole == folder.resolve() / name and whole.is_file() else None


def _entries(folder: Path) -> Iterator[_Entry]:
    """All files that have the shape of ours; old drafts are removed on the way."""
    now = time.time()
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            with contextlib.suppress(OSError):
                found = path.lstat()
                if name.endswith(DRAFT):
                    if found.st_mtime < now - DRAFT_S:
                        path.unlink()
                elif NAME.fullmatch(path.relative_to(folder).as_posix()):
                    yield _Entry(path, found.st_size, found.st_mtime)


def _remove(path: Path, folder: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
    for parent in (path.parent, path.parent.parent):
        if parent != folder:
            with contextlib.suppress(OSError):  # not empty
                parent.rmdir()


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
