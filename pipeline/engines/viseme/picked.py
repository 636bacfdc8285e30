"""Some of many mesh points, without a wait.

`points[:, places]` with a list would bring the places to a GPU each time, and wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def picked(points: Tensor, places: Sequence[int]) -> Tensor:
    """(B, K, ...) to (B, len(places), ...)."""
    return points.index_select(1, index(tuple(places), points.device))


@lru_cache(maxsize=128)
def index(places: tuple[int, ...], device: torch.device) -> Tensor:
    """(n,) int64 places on a device; for good, so it is waited for."""
    return torch.tensor(places).to(device)
