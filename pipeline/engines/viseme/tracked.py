"""What the engine reads of a face track: mesh points, as heads, and unbroken runs of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pipeline.engines.viseme.heads import Heads, Skull, fit_heads, mean_skull
from schemas.render import SpanKind

CHUNK = 256
SKULL_FRAMES = 512


class Track(Protocol):
    """What the engine reads of `pipeline.faces.track.FaceTrack`."""

    @property
    def usable(self) -> Tensor:
        """(N,) bool."""
        ...

    @property
    def cut(self) -> Tensor:
        """(N,) bool, first frame of a new shot."""
        ...

    @property
    def yaw(self) -> Tensor:
        """(N,) degrees."""
        ...

    @property
    def complexion(self) -> Tensor:
        """(N, D) lips and skin against the skin around them, of 255."""
        ...

    def points(self, start: int, stop: int) -> Tensor:
        """(stop - start, 478, 3) pixels."""
        ...

    def reason(self, index: int) -> SpanKind | None:
        """Why a frame is not usable."""
        ...


def shots(track: Track) -> Tensor:
    """(N,) int64 number of the unbroken run of usable frames that each frame belongs to."""
    usable = track.usable.bool()
    new = track.cut.bool().clone()
    new[1:] |= usable[1:] != usable[:-1]
    return new.to(torch.int64).cumsum(0)


def points_of(track: Track, indices: Sequence[int]) -> Tensor:
    """Mesh points of usable frames in any order, (len(indices), 478, 3) pixels."""
    low, high = min(indices), max(indices)
    if high - low > 2 * CHUNK:
        return torch.cat([track.points(index, index + 1) for index in indices]).float()
    return track.points(low, high + 1).float()[torch.tensor(indices) - low]


def clip_skull(track: Track) -> Skull:
    """The mean head over frames spread across the clip; some frame must be usable."""
    usable = torch.nonzero(track.usable).flatten()
    spread = usable[torch.linspace(0, len(usable) - 1, min(len(usable), SKULL_FRAMES)).long()]
    return mean_skull(torch.cat([track.points(n, n + 1) for n in spread.tolist()]).float())


def all_heads(track: Track, skull: Skull) -> Iterator[tuple[Tensor, Heads]]:
    """Heads of all usable frames, some at a time: (indices, heads)."""
    usable = torch.nonzero(track.usable).flatten()
    for part in torch.split(usable, CHUNK):
        yield part, fit_heads(points_of(track, part.tolist()), skull)
