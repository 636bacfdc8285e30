"""One network on one device, for any number of jobs: its runner, and the batcher that feeds it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.batching.batcher import MAX_DELAY_S, Batcher, Lane
from pipeline.batching.row import Row
from pipeline.batching.runner import Runner

Item = tuple[Tensor, ...]
"""One row of each column."""


class Shared:
    """Shared batches of one network.

    Args:
        runner: of the network (`pipeline.batching.placed`).
        buckets: batch sizes, ascending.
        max_delay_s: longest wait of a row for company.
    """

    def __init__(
        self, runner: Runner, buckets: Sequence[int], *, max_delay_s: float = MAX_DELAY_S
    ) -> None:
        self._buckets = buckets
        self._runner = runner
        self._batcher: Batcher[Item, Row] = Batcher(self._run, buckets, max_delay_s)

    @property
    def limit(self) -> int:
        """Rows of the largest batch; falls when the device has no memory for it."""
        return self._batcher.limit

    def open(self, deadline: float | None = None) -> Lane[Item, Row]:
        """A job's lane."""
        return self._batcher.open(deadline)

    def warm(self) -> None:
        """Do now what the first batches would wait for, the largest first.

        Where the device has no memory for a size, batches stay below it for good.

        Raises:
            torch.OutOfMemoryError: not even the smallest fits.
        """
        for size in reversed(self._buckets):
            try:
                self._runner.warm(size)
            except torch.OutOfMemoryError:
                if size == self._buckets[0]:
                    raise
                self._batcher.keep_below(size)

    def _run(self, items: list[Item]) -> list[Row]:
        return self._runner(list(zip(*items, strict=True)))
