"""A network of two inputs, rows for it, and what it makes of them."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.batching.row import Row, gather
from pipeline.batching.runner import Column

COLUMNS = [Column((3, 2, 2), torch.float32), Column((4,), torch.float32)]


def summed(picture: Tensor, sound: Tensor) -> Tensor:
    return picture * 2 + sound.sum(1)[:, None, None, None]


def drawn(count: int, seed: int = 0) -> tuple[list[Tensor], list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(count, 3, 2, 2, generator=generator)
    b = torch.randn(count, 4, generator=generator)
    return list(a), list(b), summed(a, b)


def values(rows: list[Row]) -> Tensor:
    return gather(rows).as_subclass(Tensor)
