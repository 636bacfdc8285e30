"""One network on one device, for any number of jobs: its runner, and the batcher that feeds it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipeline.batching.batcher import MAX_DELAY_S, Batcher, Lane
from pipeline.batching.cuda import is_out_of_memory
from pipeline.batching.row import Row
from pipeline.batching.runner import Runner

Item = tuple[Tensor, ...]
"""One row of each column."""


class Shared:
    """Shared batches of one network."""

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
            RuntimeError: not even the smallest fits (`pipeline.batching.cuda.is_out_of_memory`).
        """
        for size in reversed(self._buckets):
            if not self._fits(size):
                self._batcher.keep_below(size)

    def _fits(self, size: int) -> bool:
        """Whether the device has memory for a size.

        The error is forgotten when this returns: as long as it lives, its frames hold what the
        attempt took.
        """
        try:
            self._runner.warm(size)
        except RuntimeError as error:
            if size == self._buckets[0] or not is_out_of_memory(error):
                raise
            return False
        return True

    def _run(self, items: list[Item]) -> list[Row]:
        return self._runner(list(zip(*items, strict=True)))
