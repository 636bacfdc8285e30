"""Faces per batch."""

from __future__ import annotations

from pipeline.batching.cuda import is_cuda
from pipeline.hardware import use

SMALLEST = 8
"""On the CPU the only size: larger ones are no faster there."""


def buckets_on(device: str) -> tuple[int, ...]:
    """The batch sizes that suit a device, ascending; the largest is what runs under load."""
    if not is_cuda(device):
        return (SMALLEST,)
    sizes = [SMALLEST]
    while 2 * sizes[-1] <= use().largest_batch:
        sizes.append(2 * sizes[-1])
    return tuple(sizes)
