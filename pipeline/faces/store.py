"""Meshes on the scratch disk: an hour of them is half a gigabyte, which is no reason for memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from pipeline.faces.mesh import POINTS

ROW = POINTS * 3 * 4
"""Bytes of one mesh."""


class PointStore:
    """Rows of (478, 3) float32 by frame, read and written in any order by one process.

    The file has no name: it is gone when the store is, whatever ends the process. Writing raises
    OSError when the disk is full.

    Args:
        folder: on which disk.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix="points-", buffering=0)  # noqa: SIM115

    def write(self, start: int, points: Tensor) -> None:
        """Put (n, 478, 3) at rows `start` and on."""
        data = memoryview(points.contiguous().numpy().tobytes())
        offset = start * ROW
        while data:
            done = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[done:], offset + done

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, (n, 478, 3) float32. Rows that were never written are zeros.

        Safe from several threads at once.
        """
        wanted = max(0, stop - start) * ROW
        data = bytearray(wanted)
        view, offset = memoryview(data), start * ROW
        while view:
            part = os.pread(self._file.fileno(), len(view), offset)
            if not part:
                break  # beyond what was written
            view[: len(part)] = part
            view, offset = view[len(part) :], offset + len(part)
        return (
            torch.frombuffer(data, dtype=torch.float32).view(-1, POINTS, 3)
            if wanted
            else (torch.zeros(0, POINTS, 3))
        )

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
