"""Stretches: of true values in a mask, and of numbers that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def true_runs(mask: Tensor) -> list[tuple[int, int]]:
    """Half-open runs of true values of a mask, (T,) bool."""
    ended = torch.zeros(1, dtype=torch.int8)
    edges = torch.diff(mask.to(torch.int8), prepend=ended, append=ended)
    starts, stops = (torch.nonzero(edges == sign).flatten().tolist() for sign in (1, -1))
    return list(zip(starts, stops, strict=True))


def ascending_runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Half-open places of numbers that are each one more than the last; there is one at least."""
    edges = [n for n in range(1, len(numbers)) if numbers[n] != numbers[n - 1] + 1]
    yield from pairwise([0, *edges, len(numbers)])
