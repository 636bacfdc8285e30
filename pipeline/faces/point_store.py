"""Meshes on the scratch disk: an hour of them is half a gigabyte, which is no reason for memory."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.faces.mesh import POINTS
from pipeline.rows import RowFile, nameless


class PointStore(RowFile):
    """Rows of (478, 3) float32 by frame, read and written in any order by one process.

    The file has no name: it is gone when the store is, whatever ends the process. Writing raises
    OSError when the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(nameless(folder), (POINTS, 3), torch.float32)
