"""Mesh points of the tracked face, evened out in time, as heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pipeline.engines.fade import Kind
from pipeline.engines.viseme.heads import Heads, Skull, fit_heads, mean_skull

SIGMA = 0.8
"""Of the smoothing over time, frames."""
REACH = 3
"""Frames to either side that it looks at."""
JUMP = 0.06
"""A face that changes its size by this share from one frame to the next was cut."""
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
    def io(self) -> Tensor:
        """(N,) pixels."""
        ...

    @property
    def yaw(self) -> Tensor:
        """(N,) degrees."""
        ...

    @property
    def pitch(self) -> Tensor:
        """(N,) degrees."""
        ...

    @property
    def roll(self) -> Tensor:
        """(N,) degrees."""
        ...

    def points(self, start: int, stop: int) -> Tensor:
        """(stop - start, 478, 3) pixels."""
        ...

    def reason(self, index: int) -> Kind | None:
        """Why a frame is not usable."""
        ...


def length(track: Track) -> int:
    """Frames that were tracked."""
    return int(track.usable.shape[0])


def shots(track: Track) -> Tensor:
    """(N,) int64 number of the unbroken run of usable frames that each frame belongs to."""
    usable = track.usable.bool()
    io = track.io.float()
    new = track.cut.bool().clone()
    new[1:] |= usable[1:] != usable[:-1]
    new[1:] |= (io[1:] - io[:-1]).abs() > JUMP * io[:-1].clamp_min(1.0)
    return new.to(torch.int64).cumsum(0)


def even_points(track: Track, run: Tensor, indices: Sequence[int]) -> Tensor:
    """Mesh points smoothed within their shot.

    Args:
        track: the face.
        run: from `shots`.
        indices: usable frames, in any order.

    Returns:
        (len(indices), 478, 3).
    """
    total = length(track)
    low, high = min(indices), max(indices)
    if high - low > 2 * CHUNK:
        return torch.cat([even_points(track, run, [index]) for index in indices])
    first, last = max(0, low - REACH), min(total, high + REACH + 1)
    points = track.points(first, last).float()
    at = torch.tensor(indices).unsqueeze(1) + torch.arange(-REACH, REACH + 1)
    inside = at.clamp(0, total - 1)
    same = (at == inside) & (run[inside] == run[torch.tensor(indices)].unsqueeze(1))
    weight = torch.exp(-0.5 * (torch.arange(-REACH, REACH + 1) / SIGMA) ** 2) * same
    weight = weight / weight.sum(1, keepdim=True)
    return torch.einsum("bk,bkpc->bpc", weight, torch.nan_to_num(points[inside - first]))


def clip_skull(track: Track) -> Skull:
    """The mean head over frames spread across the clip; some frame must be usable."""
    usable = torch.nonzero(track.usable).flatten()
    spread = usable[torch.linspace(0, len(usable) - 1, min(len(usable), SKULL_FRAMES)).long()]
    return mean_skull(torch.cat([track.points(n, n + 1) for n in spread.tolist()]).float())


def all_heads(track: Track, run: Tensor, skull: Skull) -> Iterator[tuple[Tensor, Heads]]:
    """Heads of all usable frames, some at a time: (indices, heads)."""
    usable = torch.nonzero(track.usable).flatten()
    for part in torch.split(usable, CHUNK):
        yield part, fit_heads(even_points(track, run, part.tolist()), skull)
