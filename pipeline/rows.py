"""Tensors too long for memory, row by row in a file: read and written by offset, from any thread.

They are read and not mapped, because mapped pages count as this process's memory while it walks
over them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.runs import ascending_runs

_CHUNK_BYTES = 4 * 1024**2


class RowFile:
    """Rows of one shape and type.

    Args:
        file: where they lie; it is this object's from now on.
        offset: of the first row in the file, bytes.
        count: rows that are there; grows with writing.
    """

    def __init__(
        self, file: int, shape: Sequence[int], dtype: torch.dtype, offset: int = 0, count: int = 0
    ) -> None:
        self._file: int | None = file
        self._offset = offset
        self._count = count
        self.shape = tuple(shape)
        self.dtype = dtype
        self.row_bytes = prod(self.shape) * dtype.itemsize

    @classmethod
    def nameless(cls, folder: Path, shape: Sequence[int], dtype: torch.dtype) -> RowFile:
        """An empty one in a file without a name: it is gone when this object is."""
        return cls(nameless(folder), shape, dtype)

    def __len__(self) -> int:
        return self._count

    def __del__(self) -> None:
        self.close()

    def write(self, start: int, rows: Tensor) -> None:
        """Put (n, …) at rows `start` and on.

        Raises:
            OSError: the disk is full.
        """
        data = bytes_of(rows.contiguous())
        offset = self._offset + start * self.row_bytes
        while data:
            done = os.pwrite(self._descriptor, data, offset)
            data, offset = data[done:], offset + done
        self._count = max(self._count, start + len(rows))

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, (n, …); those that were never written are zeros."""
        rows = torch.zeros(max(0, stop - start), *self.shape, dtype=self.dtype)
        if rows.numel():
            self._read(start, bytes_of(rows))
        return rows

    def __getitem__(self, rows: int | Sequence[int]) -> Tensor:
        """Rows of these numbers, in this order; one row for one number."""
        if isinstance(rows, int):
            return self.read(rows, rows + 1)[0]
        if not rows:
            return self.read(0, 0)
        made = torch.zeros(len(rows), *self.shape, dtype=self.dtype)
        view, size = bytes_of(made), self.row_bytes
        for start, stop in ascending_runs(rows):
            self._read(rows[start], view[start * size : stop * size])
        return made

    def _read(self, start: int, view: memoryview) -> None:
        """Fill bytes with the rows from `start` on, as far as they were written."""
        offset = self._offset + start * self.row_bytes
        view = view[: max(0, (self._count - start) * self.row_bytes)]
        while view:
            done = os.preadv(self._descriptor, [view], offset)
            if not done:
                break  # beyond what was written
            view, offset = view[done:], offset + done

    def chunks(self) -> Iterator[Tensor]:
        """All rows, some at a time: (n, …) each."""
        step = max(1, _CHUNK_BYTES // max(1, self.row_bytes))
        for start in range(0, self._count, step):
            yield self.read(start, min(start + step, self._count))

    def close(self) -> None:
        """Give the disk space back."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    @property
    def _descriptor(self) -> int:
        if self._file is None:
            raise ValueError("closed")
        return self._file


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous host tensor with at least one item."""
    flat = tensor.reshape(-1)
    # One item alone counts as contiguous whatever its step, but `view` looks at the step.
    flat = flat.as_strided(flat.shape, (1,))
    values: NDArray[np.uint8] = flat.view(torch.uint8).numpy()
    return values.data


def nameless(folder: Path) -> int:
    """A descriptor of a new file without a name.

    Raises:
        OSError: the folder cannot be used.
    """
    with tempfile.TemporaryFile(dir=folder, prefix="rows-", buffering=0) as file:
        return os.dup(file.fileno())
