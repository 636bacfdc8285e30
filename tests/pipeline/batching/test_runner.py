"""A captured network makes what it makes when run as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.batching.captured import Captured
from pipeline.batching.row import Row, gather
from pipeline.batching.runner import Column, Direct

COLUMNS = [Column((3, 2, 2), torch.float32), Column((4,), torch.float32)]


def _network(picture: Tensor, sound: Tensor) -> Tensor:
    return picture * 2 + sound.sum(1)[:, None, None, None]


def _rows(count: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(count)
    a, b = (
        torch.randn(count, 3, 2, 2, generator=generator),
        torch.randn(count, 4, generator=generator),
    )
    return list(a), list(b), _network(a, b)


def test_rows_of_several_batches_are_gathered_in_order() -> None:
    first, second = torch.arange(4) * 10, torch.arange(4) * 100
    rows = [Row(first, 1), Row(first, 2), Row(second, 0), Row(first, 3), Row(second, 3)]
    assert gather(rows).tolist() == [10, 20, 0, 30, 300]
    assert gather(rows[:2]).tolist() == [10, 20]


def test_direct_runner_makes_one_row_of_each() -> None:
    a, b, want = _rows(5)
    made = Direct(_network, COLUMNS, "cpu")([a, b])
    assert torch.equal(gather(made), want)


def test_direct_runner_brings_rows_into_the_networks_precision() -> None:
    seen: list[torch.dtype] = []

    def network(x: Tensor) -> Tensor:
        seen.append(x.dtype)
        return x

    Direct(network, [Column((2,), torch.float64)], "cpu")([[torch.zeros(2)]])
    assert seen == [torch.float64]


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 3, 4, 7, 8])
@pytest.mark.parametrize("compiled", [False, True])
def test_captured_runner_makes_what_the_direct_one_makes(count: int, compiled: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    runner = Captured(_network, COLUMNS, (4, 8), "cuda", "compiled" if compiled else "captured")
    for turn in range(5):  # both staging buffers, more than once
        a, b, want = _rows(count + 10 * turn if count + 10 * turn <= 8 else count)
        on_device = [row.cuda() for row in b]
        made = gather(runner([a, on_device])).cpu()
        torch.testing.assert_close(made, want)


@pytest.mark.gpu
def test_captured_batches_in_flight_do_not_touch_each_other() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    runner = Captured(_network, COLUMNS, (8,), "cuda", "captured")
    flying = [(runner(_rows(n)[:2]), _rows(n)[2]) for n in (8, 3, 5, 8, 1)]
    for made, want in flying:
        torch.testing.assert_close(gather(made).cpu(), want)
