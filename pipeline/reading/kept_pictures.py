"""Decoded pictures that are kept for later passes over the reference, as far as there is room.

Decoding one costs ten times as much as reading it back while it is in the page cache, so no more
is kept than the page cache can be expected to hold; the rest is decoded again. Keeping is a favour:
when the disk is full, everything kept is given up and decoding goes on.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from pipeline.reading.picture_file import PictureFile, picture_bytes
from pipeline.reading.upright import Planes

MOST_BYTES = 1024**3
"""A job keeps at most so much: half a minute of 720p25."""
DISK_SHARE, MEMORY_SHARE = 1 / 4, 1 / 8
"""Of the free disk and of the available memory. Linux makes writers wait from a fifth on that is
not yet on disk (vm.dirty_ratio)."""


class KeptPictures:
    """Pictures of one reference by number, of even sides."""

    def __init__(self, width: int, height: int, scratch: Path) -> None:
        self._size = (width, height)
        self._scratch = scratch
        self._capacity = _room(scratch) // picture_bytes(width, height)
        self._slots: dict[int, int] = {}
        self._file: PictureFile | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> KeptPictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, number: int, planes: Planes) -> None:
        """Keep a picture if there is room."""
        with self._lock:
            if number in self._slots or len(self._slots) >= self._capacity:
                return
            try:
                if self._file is None:
                    self._file = PictureFile(*self._size, self._scratch)
                self._file.write(len(self._slots), planes)
            except OSError:  # full disk, quota or file size: the output needs the room more
                self._give_up()
                return
            self._slots[number] = len(self._slots)

    def enough(self) -> None:
        """Keep nothing more: what is decoded from now on is not read again."""
        with self._lock:
            self._capacity = 0

    def get(self, number: int) -> Planes | None:
        """A picture in memory of its own, None where it was not kept."""
        with self._lock:
            slot = self._slots.get(number)
            if slot is None or self._file is None:
                return None
            return self._file.read(slot)

    def _give_up(self) -> None:
        self._capacity = 0
        self._slots.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


def _room(scratch: Path) -> int:
    """Bytes that may be kept now."""
    try:
        disk = shutil.disk_usage(scratch).free
    except OSError:
        return 0
    return int(min(MOST_BYTES, disk * DISK_SHARE, _available_memory() * MEMORY_SHARE))


def _available_memory() -> int:
    """Bytes that the kernel can hand out, page cache included (proc(5), MemAvailable)."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
