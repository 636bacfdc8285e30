"""A batch runs at the smallest size that holds it."""

from __future__ import annotations

import pytest
import torch

from pipeline.batching.sizes import Sizes


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8)])
def test_a_batch_runs_at_the_smallest_size_that_holds_it(count: int, size: int) -> None:
    assert Sizes((4, 8)).holding(count) == size


def test_what_runs_under_load_is_the_largest_size_that_was_not_refused() -> None:
    sizes = Sizes((8, 16, 32, 64, 128))
    assert sizes.largest == 128
    sizes.refuse(128)
    assert sizes.largest == 64
    sizes.refuse(32)
    assert sizes.largest == 16
    assert sizes.holding(9) == 16
    with pytest.raises(torch.OutOfMemoryError, match="batches of 17"):
        sizes.holding(17)


def test_below_the_smallest_bucket_its_halves_are_left_down_to_one() -> None:
    sizes = Sizes((8, 16))
    for size in (8, 4, 2):
        sizes.refuse(size)
    assert sizes.largest == sizes.holding(1) == 1
    sizes.refuse(1)
    assert sizes.largest == 1, "a single frame has nothing below it"
