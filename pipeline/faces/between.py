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

from pipeline.faces.topology import LIPS
from pipeline.types import Frame

SPACING = 4
"""Frames from one look to the next at most."""
SPANS = [[33, 263], [13, 14], [61, 291]]
"""Points of the mesh: outer corners of the eyes, edges of the lips, corners of the mouth."""
CELLS, FINE = 12, 8
"""Cells along a side of a copy, and samples along a side of a cell."""
CALM = (0.075, 0.15)
"""Of the face and of the mouth: what a cell may differ from its neighbours' mean in time, of the
spread of all cells."""
DIMMEST = 10.0
"""Spread that every face is taken to have, of 255: below it there is noise."""
STILL = (0.0025, 0.006)
"""What the mouth may open and widen between two looks, io. The network reads each picture's grain
as a little motion, and whoever looks at an output reads the same grain: frames of a face of which
it is so unsure are looked at."""
MOUTH_MARGIN = 0.15
"""Around the lips, of their width. Mouths have cells of their own: a third of a face's."""


def key_places(count: int, follows: bool) -> list[int]:
    """Places in a batch that are looked at anyway: the last one, and one in `SPACING` before it.

    Args:
        count: frames of the batch, at least 1.
        follows: the frame before the batch was looked at.
    """
    first = SPACING - 1 if follows else 0
    return sorted({*range(first, count, SPACING), count - 1})


def unexplained(frames: Sequence[Frame], points: Tensor, looked: Tensor) -> list[int]:
    """Where to look next: the middle of each gap in which a frame is not what its ends explain.

    Args:
        frames: N frames of one shot.
        points: (N, 478, 2 or 3) pixels, known where it was looked at.
        looked: (N,) bool; the first and the last are.
    """
    ends = looked.nonzero()[:, 0].tolist()
    boxes = _boxes(points[..., :2])
    return [
        (first + last) // 2
        for first, last in pairwise(ends)
        if last - first > 1
        and not (
            _alike(points[first], points[last])
            and _calm(frames[first : last + 1], boxes[first], boxes[last])
        )
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


def _boxes(points: Tensor) -> Tensor:
    """(N, 2, 4) x0 y0 x1 y1 around the face, and around the mouth."""
    found = []
    for part, margin in ((points, 0.0), (points[:, list(LIPS)], MOUTH_MARGIN)):
        low, high = part.amin(1), part.amax(1)
        wider = margin * (high[:, :1] - low[:, :1])
        found.append(torch.cat([low - wider, high + wider], dim=1))
    return torch.stack(found, dim=1)


def _alike(first: Tensor, last: Tensor) -> bool:
    """Whether a mouth keeps its shape between two meshes (478, 2 or 3)."""
    spans = []
    for points in (first[:, :2], last[:, :2]):
        ends = points[torch.tensor(SPANS)]
        length = (ends[:, 0] - ends[:, 1]).norm(dim=1)
        spans.append(length[1:] / length[0].clamp(min=1.0))
    return bool(((spans[0] - spans[1]).abs() <= torch.tensor(STILL)).all())


def _calm(frames: Sequence[Frame], first: Tensor, last: Tensor) -> bool:
    """Whether each frame inside lies between the ends, seen from one place or from a moving one."""
    low, high = torch.minimum(first, last), torch.maximum(first, last)
    still = torch.cat([low[:, :2], high[:, 2:]], dim=1)
    shares = [n / (len(frames) - 1) for n in range(len(frames))]
    fixed = torch.stack([_copies(frame, still) for frame in frames])
    most = torch.tensor(CALM) * fixed[0].std((1, 2)).clamp(min=DIMMEST)
    left = [n for n in range(1, len(frames) - 1) if not _explained(fixed, n, shares[n], most)]
    if not left:
        return True
    moving = torch.stack(
        [_copies(f, torch.lerp(first, last, s)) for f, s in zip(frames, shares, strict=True)]
    )
    return all(_explained(moving, n, shares[n], most) for n in left)


def _explained(copies: Tensor, place: int, share: float, most: Tensor) -> bool:
    off = (copies[place] - torch.lerp(copies[0], copies[-1], share)).abs()
    return bool((off.amax((1, 2)) <= most).all())


def _copies(frame: Frame, boxes: Tensor) -> Tensor:
    """(K, CELLS, CELLS) mean luma inside boxes (K, 4)."""
    side = CELLS * FINE
    steps = ((torch.arange(side) + 0.5) / side).view(-1, 1, 1)
    places = torch.lerp(boxes[:, :2], boxes[:, 2:], steps).round().long()  # (side, K, 2)
    columns = places[..., 0].clamp(0, frame.width - 1).T.unsqueeze(1)
    rows = places[..., 1].clamp(0, frame.height - 1).T.unsqueeze(2)
    return torch.nn.functional.avg_pool2d(frame.y[rows, columns].float(), FINE)
