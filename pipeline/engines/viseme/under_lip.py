"""Skin stays under the lower lip.

The mesh looks at lips once more, at a larger size, and not at the skin around them. Where a mouth
is bared or gapes, its lips lie lower than the skin that is to be under them; and where one mouth's
quick part is put on another's slow one, either may. A field that has to bring both where they are
wanted folds, and the lip's lower edge is torn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engines.viseme.points import BELOW, CHIN, PLACE, places
from pipeline.faces.topology import LIPS_OUTER_LOWER

LEAST = 0.03
"""Of skin under the edge of the lip, io: usually there is .04 to .09."""
MOST = 0.5
"""Of the way to the chin by which skin is moved at most."""

_RING = [PLACE[point] for point in LIPS_OUTER_LOWER]
_LEFT, _MIDDLE, _RIGHT = 4, 5, 6
"""Columns of the lip above the skin's points nearest to it."""
_EDGE = [_RING[column] for column in (_LEFT, _MIDDLE, _RIGHT)]
_NEAR = [PLACE[point] for point in (83, 18, 313)]
_ENDS = [_RING[0], _RING[-1]]
_SKIN = places(BELOW)


def under_lip(shape: Tensor) -> Tensor:
    """Shapes whose skin is nowhere above the lower lip's edge.

    Skin that lies too high is moved down, what lies below it by less, the chin by nothing.

    Args:
        shape: (B, K, 3) io, in the order of `points.FACE`.

    Returns:
        (B, K, 3); the same tensor where all of it is in order.
    """
    lack = LEAST - (shape[:, _NEAR, 1] - shape[:, _EDGE, 1])
    if not bool((lack > 0).any()):
        return shape
    lip = shape[:, _EDGE, 1].amax(1, keepdim=True)
    way = (shape[:, PLACE[CHIN], 1:2] - lip).clamp_min(LEAST)
    lack = torch.minimum(lack.clamp_min(0), MOST * way)
    y = shape[:, _SKIN, 1]
    near = (1 - (y - lip) / way).clamp(0, 1)
    moved = shape.clone()
    moved[:, _SKIN, 1] = y + _across(shape, lack) * near
    return moved


def _across(shape: Tensor, lack: Tensor) -> Tensor:
    """(B, S) what the skin lacks, from (B, 3) under the middle of the lip to none at its ends."""
    x = shape[..., 0]
    knots = torch.cat([x[:, _ENDS[:1]], x[:, _NEAR], x[:, _ENDS[1:]]], 1).cummax(1).values
    values = torch.nn.functional.pad(lack, (1, 1))
    at = x[:, _SKIN].contiguous()
    right = torch.searchsorted(knots.contiguous(), at).clamp(1, knots.shape[1] - 1)
    x0, x1 = knots.gather(1, right - 1), knots.gather(1, right)
    share = ((at - x0) / (x1 - x0).clamp_min(1e-6)).clamp(0, 1)
    return torch.lerp(values.gather(1, right - 1), values.gather(1, right), share)
