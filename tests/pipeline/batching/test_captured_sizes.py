"""Where memory ends, captured batches become smaller and no row is lost; CUDA is on paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.batching.captured import Captured
from pipeline.batching.shared import Shared
from pipeline.engines.neural.painter import buckets_on
from pipeline.hardware import allow
from tests.pipeline.batching.summing import COLUMNS, drawn, summed, values

pytestmark = pytest.mark.usefixtures("paper")


def test_memory_that_ends_while_kernels_are_launched_one_by_one_halves_the_batch() -> None:
    full = False

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if full and len(picture) > 4:
            raise torch.OutOfMemoryError("no room")
        return summed(picture, sound)

    runner = Captured(network, COLUMNS, (4, 8), "cpu", "single")
    shared = Shared(runner, (4, 8))
    shared.warm()
    full = True
    a, b, want = drawn(16)
    with shared.open() as job:
        job.submit(list(zip(a, b, strict=True)))
        made = [job.take() for _ in range(16)]
    assert torch.equal(values(made), want)
    assert shared.limit == 4


def test_a_size_that_is_refused_first_leaves_smaller_ones_to_the_batches_that_wait() -> None:
    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if len(picture) > 8:
            raise torch.OutOfMemoryError("no room")
        return summed(picture, sound)

    shared = Shared(Captured(network, COLUMNS, (8, 16, 64), "cpu", "captured"), (8, 16, 64))
    a, b, want = drawn(12)
    with shared.open() as lane:
        lane.submit(list(zip(a, b, strict=True)))
        assert torch.equal(values([lane.take() for _ in range(12)]), want)
    assert shared.limit == 8


def test_a_size_without_room_is_left_and_the_next_runs_under_load() -> None:
    seen: list[int] = []

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if len(picture) > 4:
            raise torch.OutOfMemoryError("no room")
        seen.append(len(picture))
        return summed(picture, sound)

    shared = Shared(Captured(network, COLUMNS, (8, 16), "cpu", "captured"), (8, 16))
    a, b, want = drawn(20)
    with shared.open() as lane:
        lane.submit(list(zip(a, b, strict=True)))
        assert torch.equal(values([lane.take() for _ in range(20)]), want)
    assert shared.limit == 4
    assert set(seen) == {4}


def test_a_gpus_largest_buckets_fill_under_load_and_halve_where_memory_ends() -> None:
    sizes: list[int] = []

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if len(picture) > 64:
            raise torch.OutOfMemoryError("no room")
        sizes.append(len(picture))
        return summed(picture, sound)

    allow(largest_batch=128)
    try:
        buckets = buckets_on("cuda")
    finally:
        allow(largest_batch=64)
    assert buckets == (8, 16, 32, 64, 128)
    assert buckets_on("cuda:1") == buckets[:-1]
    shared = Shared(Captured(network, COLUMNS, buckets, "cpu", "captured"), buckets)
    shared.warm()
    assert shared.limit == 64
    assert set(sizes) == {8, 16, 32, 64}
    a, b, want = drawn(200)
    with shared.open() as one, shared.open() as other:
        one.submit(list(zip(a[:130], b[:130], strict=True)))
        other.submit(list(zip(a[130:], b[130:], strict=True)))
        made = [one.take() for _ in range(130)] + [other.take() for _ in range(70)]
    assert torch.equal(values(made), want)
    assert max(len(row.batch) for row in made) == 64
