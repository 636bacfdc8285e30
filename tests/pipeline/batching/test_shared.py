"""A device without memory, played by a runner on the CPU that refuses large batches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from pipeline.batching.row import Row, gather
from pipeline.batching.runner import Column, Direct
from pipeline.batching.shared import Shared
from pipeline.batching.sizes import Sizes

BUCKETS = (8, 16, 32, 64, 128)
COLUMNS = [Column((2,), torch.float32), Column((2,), torch.float32)]


class Small(Direct):
    """Chooses and refuses sizes as a captured runner does."""

    most = 128

    def __init__(self) -> None:
        super().__init__(torch.add, COLUMNS, "cpu")
        self.sizes = Sizes(BUCKETS)
        self.captured: list[int] = []
        self.ran: list[int] = []

    def __call__(self, columns: Sequence[Sequence[Tensor]]) -> list[Row]:
        size = self.sizes.holding(len(columns[0]))
        self.warm(size)
        self.ran.append(size)
        return super().__call__(columns)

    def warm(self, size: int) -> None:
        if size > self.most:
            self.sizes.refuse(size)
            raise torch.OutOfMemoryError(f"no room for {size}")
        self.captured.append(size)


@pytest.fixture
def runner() -> Small:
    return Small()


def _made(network: Shared, count: int) -> Tensor:
    with network.open() as lane:
        lane.submit([(torch.full((2,), float(n)), torch.ones(2)) for n in range(count)])
        return gather([lane.take() for _ in range(count)])[:, 0]


@pytest.mark.parametrize("most", [128, 64, 16, 2])
def test_batches_halve_from_128_to_what_fits_and_no_row_is_lost(runner: Small, most: int) -> None:
    runner.most = most
    network = Shared(runner, BUCKETS)
    assert torch.equal(_made(network, 300), torch.arange(300.0) + 1)
    assert network.limit == most
    assert runner.ran[0] == runner.sizes.largest == most


def test_warming_tries_the_largest_first_and_stays_below_what_does_not_fit(runner: Small) -> None:
    runner.most = 32
    network = Shared(runner, BUCKETS)
    network.warm()
    assert runner.captured == [32, 16, 8]
    assert network.limit == 32
    assert torch.equal(_made(network, 40), torch.arange(40.0) + 1)


def test_a_device_without_room_for_the_smallest_batch_says_so_when_it_is_warmed(
    runner: Small,
) -> None:
    runner.most = 4
    with pytest.raises(torch.OutOfMemoryError, match="no room for 8"):
        Shared(runner, BUCKETS).warm()
