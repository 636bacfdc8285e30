"""A look at faces on two processors: half of a batch each, from the frames to what is seen.

Looking is the longest step of tracking, and one thread's; the decoder, which runs beside it,
leaves most of a second processor free. Batches are halved where there is one processor as well, so
that what torch computes has the same sizes, and points the same bits, anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from pipeline.batching.cuda import is_cuda

Part = TypeVar("Part")

FEWEST = 4
"""Pictures from which on two halves are quicker than one batch."""


class Halves:
    """Does work on batches of `fewest` and more half by half; on two threads, at once."""

    def __init__(self, threads: int, fewest: int = FEWEST) -> None:
        self._beside = ThreadPoolExecutor(1, "f2f-look") if threads > 1 else None
        self._fewest = fewest

    def each(self, count: int, work: Callable[[slice], Part]) -> list[Part]:
        """What `work` makes of each part of a batch, in order: of two halves, or of all at once.

        Args:
            work: gets the places of its part, and may run in two threads at once.
        """
        if count < self._fewest:
            return [work(slice(0, count))]
        middle = -(-count // 2)
        first, second = slice(0, middle), slice(middle, count)
        if self._beside is None:
            return [work(first), work(second)]
        beside = self._beside.submit(_in_mode, torch.is_inference_mode_enabled(), work, second)
        try:
            mine = work(first)
        finally:
            theirs = beside.result()  # nobody reads the frames any more when this returns
        return [mine, theirs]


def halves_on(device: str, threads: int) -> Halves:
    """For a device; a GPU takes whole batches."""
    return Halves(1, sys.maxsize) if is_cuda(device) else Halves(threads)


def _in_mode(inference: bool, work: Callable[[slice], Part], part: slice) -> Part:
    with torch.inference_mode(inference):  # torch asks it of each thread
        return work(part)
