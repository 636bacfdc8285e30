"""Where the pictures of a descending run wait for their turn: a little memory, or a scratch file.

The file's pages are the kernel's to drop, so that a long block costs no memory of the process, and
a group of pictures between two keyframes is decoded once or twice instead of many times.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.upright import Planes

MEMORY_BYTES = 48 * 1024**2
"""A block without a scratch folder."""
FILE_BYTES = 384 * 1024**2
"""A block in a scratch file."""
_SMALLEST, _LARGEST = 4, 1024


class Blocks:
    """Holds the planes of one block of pictures, all of one size.

    Args:
        width: of luma, even.
        height: of luma, even.
        scratch: folder for a nameless file; None keeps the block in memory.
    """

    def __init__(self, width: int, height: int, scratch: Path | None) -> None:
        self._luma = width * height
        self._bytes = self._luma * 3 // 2
        self._shape = (height, width)
        self._scratch = scratch
        budget = MEMORY_BYTES if scratch is None else FILE_BYTES
        self.capacity = max(_SMALLEST, min(_LARGEST, budget // self._bytes))
        """Pictures of one block."""
        self._memory: dict[int, Planes] = {}
        self._slots: dict[int, int] = {}
        self._file: int | None = None
        self._open = ExitStack()

    def __enter__(self) -> Blocks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
        self._open.close()

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
        offset = len(self._slots) * self._bytes
        for plane in planes:
            data = _bytes_of(plane)
            while data:
                written = os.pwrite(self._descriptor(), data, offset)
                data, offset = data[written:], offset + written
        self._slots[number] = len(self._slots)

    def get(self, number: int) -> Planes:
        """A picture of the block."""
        if number in self._memory:
            return self._memory[number]
        whole = torch.empty(self._bytes, dtype=torch.uint8)
        room = _bytes_of(whole)
        offset = self._slots[number] * self._bytes
        while room:
            count = os.preadv(self._descriptor(), [room], offset)
            if count == 0:
                raise OSError(f"scratch file ended at {offset} bytes")
            room, offset = room[count:], offset + count
        height, width = self._shape
        half = (height // 2, width // 2)
        quarter = self._luma // 4
        chroma = self._luma + quarter
        return (
            whole[: self._luma].view(height, width),
            whole[self._luma : chroma].view(half),
            whole[chroma:].view(half),
        )

    def _descriptor(self) -> int:
        if self._file is None:
            file = tempfile.TemporaryFile(dir=self._scratch, buffering=0)  # noqa: SIM115 - __exit__
            self._file = self._open.enter_context(file).fileno()
        return self._file


def _bytes_of(plane: Tensor) -> memoryview:
    values: NDArray[np.uint8] = plane.numpy()
    return values.data.cast("B")
