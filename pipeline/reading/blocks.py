"""Where the pictures of a descending run wait for their turn: a little memory, or a scratch file.

The file's pages are the kernel's to drop, so that a long block costs no memory of the process, and
a group of pictures between two keyframes is decoded once or twice instead of many times.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.reading.picture_file import PictureFile, picture_bytes
from pipeline.reading.upright import Planes

MEMORY_BYTES = 48 * 1024**2
"""A block without a scratch folder."""
FILE_BYTES = 384 * 1024**2
"""A block in a scratch file."""
_SMALLEST, _LARGEST = 4, 1024


class Blocks:
    """Planes of one block of pictures of even sides; in memory where `scratch` is None."""

    def __init__(self, width: int, height: int, scratch: Path | None) -> None:
        self._size = (width, height)
        self._scratch = scratch
        budget = MEMORY_BYTES if scratch is None else FILE_BYTES
        self.capacity = max(_SMALLEST, min(_LARGEST, budget // picture_bytes(width, height)))
        """Pictures of one block."""
        self._memory: dict[int, Planes] = {}
        self._slots: dict[int, int] = {}
        self._file: PictureFile | None = None

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __contains__(self, number: int) -> bool:
        return number in self._memory or number in self._slots

    def clear(self) -> None:
        """Forget the block; the file keeps its room for the next one."""
        self._memory.clear()
        self._slots.clear()

    def put(self, number: int, planes: Planes) -> None:
        """Keep a picture.

        Raises:
            OSError: the scratch disk is full.
        """
        if self._scratch is None:
            self._memory[number] = planes
            return
        if self._file is None:
            self._file = PictureFile(*self._size, self._scratch)
        self._file.write(len(self._slots), planes)
        self._slots[number] = len(self._slots)

    def get(self, number: int) -> Planes:
        """A picture of the block."""
        if number in self._memory:
            return self._memory[number]
        assert self._file is not None
        return self._file.read(self._slots[number])
