"""Which batch sizes a network is captured for, and which of them is compiled. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Sizes:
    """The sizes of one network on one device.

    Below the smallest bucket lie its halves, for a device that has no memory even for that.
    """

    def __init__(self, buckets: Sequence[int]) -> None:
        halves: list[int] = []
        while (half := (halves[-1] if halves else buckets[0]) // 2) >= 1:
            halves.append(half)
        self._sizes = [*reversed(halves), *buckets]
        self._largest = buckets[-1]

    @property
    def largest(self) -> int:
        """What runs under load, and is therefore compiled."""
        return self._largest

    def holding(self, count: int) -> int:
        """The smallest size with room for so many rows.

        Raises:
            torch.OutOfMemoryError: all such sizes were refused.
        """
        for size in self._sizes:
            if size >= count:
                return size
        raise torch.OutOfMemoryError(f"the device has no memory for batches of {count}")

    def refuse(self, size: int) -> None:
        """The device has no memory for this one, and so for none above it."""
        self._sizes = [each for each in self._sizes if each < size] or self._sizes[:1]
        self._largest = self._sizes[-1]
