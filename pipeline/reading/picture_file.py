"""Pictures of one size in a nameless scratch file: its pages are the kernel's to drop.

The file is gone when it is closed, whatever ends the process.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from pipeline.reading.upright import Planes


def picture_bytes(width: int, height: int) -> int:
    """Bytes of one 8-bit 4:2:0 picture."""
    return width * height * 3 // 2


class PictureFile:
    """Planes by number, of even sides, written and read in any order, from several threads.

    Raises:
        OSError: the disk is full.
    """

    def __init__(self, width: int, height: int, folder: Path) -> None:
        self._luma = width * height
        self._bytes = picture_bytes(width, height)
        self._shape, self._half = (height, width), (height // 2, width // 2)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - `close`

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def write(self, slot: int, planes: Planes) -> None:
        """Put a picture.

        Raises:
            OSError: the disk is full, or the file may not grow so far.
        """
        whole: list[memoryview] = [plane.numpy().data for plane in planes]
        offset = slot * self._bytes
        written = os.pwritev(self._file.fileno(), whole, offset)
        if written < self._bytes:  # hardly ever
            self._write_rest(b"".join(whole), offset, written)

    def _write_rest(self, whole: bytes, offset: int, written: int) -> None:
        while written < len(whole):
            rest = memoryview(whole)[written:]
            written += os.pwrite(self._file.fileno(), rest, offset + written)

    def read(self, slot: int) -> Planes:
        """A picture that was put, in memory of its own.

        Raises:
            OSError: the scratch file is shorter than it was.
        """
        whole = np.empty(self._bytes, np.uint8)
        room = whole.data
        offset = slot * self._bytes
        while room:
            count = os.preadv(self._file.fileno(), [room], offset)
            if count == 0:
                raise OSError(f"scratch file ended at {offset} bytes")
            room, offset = room[count:], offset + count
        luma = whole[: self._luma].reshape(self._shape)
        first, second = whole[self._luma :].reshape(2, *self._half)
        return torch.from_numpy(luma), torch.from_numpy(first), torch.from_numpy(second)
