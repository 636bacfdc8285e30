"""The part of a face track that the neural engines read, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from schemas.render import SpanKind

_RUN = 256
"""Meshes of so many frames are a megabyte."""


class MeshTrack(Protocol):
    """A tracked face; `pipeline.faces.track.FaceTrack` is one."""

    def points(self, start: int, stop: int) -> Tensor:
        """(n, 478, 2 or 3) mesh points in pixels of grid frames `start` to `stop`."""
        ...

    @property
    def usable(self) -> Tensor:
        """(N,) bool: a face is there, large enough, and not in profile."""
        ...

    def reason(self, index: int) -> SpanKind | None:
        """Why a grid frame is not usable."""
        ...


def length(track: MeshTrack) -> int:
    """Grid frames that were tracked."""
    return int(track.usable.shape[0])


def meshes_at(track: MeshTrack, indices: Sequence[int]) -> Tensor:
    """(n, 478, 2) meshes of ascending grid frames that are usable, read together."""
    first = indices[0]
    if indices[-1] - first >= _RUN:
        return torch.cat([track.points(n, n + 1)[:, :, :2] for n in indices])
    return track.points(first, indices[-1] + 1)[torch.tensor(indices) - first, :, :2]


def runs_of_meshes(track: MeshTrack) -> Iterator[tuple[list[int], Tensor]]:
    """Grid frames with a usable face, some hundred at a time, and their (n, 478, 2) meshes."""
    usable = track.usable.tolist()
    for start in range(0, len(usable), _RUN):
        chosen = [n for n in range(start, min(start + _RUN, len(usable))) if usable[n]]
        if chosen:
            places = torch.tensor(chosen) - start
            yield chosen, track.points(start, chosen[-1] + 1)[places, :, :2]
