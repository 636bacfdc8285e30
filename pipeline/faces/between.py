"""Frames between two looks at a face that need no look of their own.

Where nothing happens but what happens evenly, every picture of the face lies half-way between its
neighbours, and so does the mesh. Small copies of the luma tell: a look of the mesh network costs
forty times as much. A closed lip, a blink or a hand shows as a cell that its neighbours do not
explain, and the frame is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.types import Frame

SPACING = 4
"""Frames from one look to the next at most."""
CELLS, FINE = 12, 8
"""Cells along a side of a copy, and samples along a side of a cell."""
CALM = 0.075
"""What a cell may differ from its neighbours' mean in time, of the spread of the face's cells."""
DIMMEST = 10.0
"""Spread that every face is taken to have, of 255: below it there is noise."""


def key_places(count: int, follows: bool) -> list[int]:
    """Places in a batch that are looked at anyway: the last one, and one in `SPACING` before it.

    Args:
        count: frames of the batch, at least 1.
        follows: the frame before the batch was looked at.
    """
    first = SPACING - 1 if follows else 0
    return sorted({*range(first, count, SPACING), count - 1})


def unexplained(frames: Sequence[Frame], boxes: Tensor, looked: Tensor) -> list[int]:
    """Where to look next: the middle of each gap in which a frame is not what its ends explain.

    Args:
        frames: N frames of one shot.
        boxes: (N, 4) x0 y0 x1 y1 of the face, known where it was looked at.
        looked: (N,) bool; the first and the last are.
    """
    ends = looked.nonzero()[:, 0].tolist()
    return [
        (first + last) // 2
        for first, last in pairwise(ends)
        if last - first > 1 and not _calm(frames[first : last + 1], boxes[first], boxes[last])
    ]


def between(values: Tensor, looked: Tensor) -> Tensor:
    """(N, …) float values, with those of frames that were not looked at drawn straight between."""
    ends = looked.nonzero()[:, 0]
    at = torch.arange(len(looked))
    right = torch.searchsorted(ends, at).clamp(1, max(1, len(ends) - 1))
    first, last = ends[right - 1], ends[right.clamp(max=len(ends) - 1)]
    share = ((at - first) / (last - first).clamp(min=1)).view(-1, *[1] * (values.dim() - 1))
    return torch.where(
        looked.view(share.shape), values, torch.lerp(values[first], values[last], share)
    )


def _calm(frames: Sequence[Frame], first: Tensor, last: Tensor) -> bool:
    """Whether each frame inside lies between the ends, seen from one place or from a moving one."""
    still = torch.cat([torch.minimum(first[:2], last[:2]), torch.maximum(first[2:], last[2:])])
    shares = [n / (len(frames) - 1) for n in range(len(frames))]
    fixed = torch.stack([_copy(frame, still) for frame in frames])
    most = CALM * max(DIMMEST, float(fixed[0].std()))
    left = [n for n in range(1, len(frames) - 1) if _off(fixed, n, shares[n]) > most]
    if not left:
        return True
    moving = torch.stack(
        [_copy(f, torch.lerp(first, last, s)) for f, s in zip(frames, shares, strict=True)]
    )
    return all(_off(moving, n, shares[n]) <= most for n in left)


def _off(copies: Tensor, place: int, share: float) -> float:
    return float((copies[place] - torch.lerp(copies[0], copies[-1], share)).abs().max())


def _copy(frame: Frame, box: Tensor) -> Tensor:
    """(CELLS, CELLS) mean luma inside a box."""
    side = CELLS * FINE
    steps = ((torch.arange(side) + 0.5) / side).unsqueeze(1)
    places = torch.lerp(box[:2], box[2:], steps).round().long()
    columns, rows = places[:, 0].clamp(0, frame.width - 1), places[:, 1].clamp(0, frame.height - 1)
    fine = frame.y[rows.unsqueeze(1), columns].float()
    return torch.nn.functional.avg_pool2d(fine.unsqueeze(0), FINE)[0]
