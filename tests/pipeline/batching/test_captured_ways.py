"""How a network is captured, with CUDA on paper: precision, priority, compiling, and memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.batching import batcher, captured
from pipeline.batching.captured import Captured
from pipeline.batching.cuda import REACH_FIRST, capturing, urgent_priority
from pipeline.batching.row import gather
from pipeline.batching.runner import Column, Traits
from pipeline.batching.shared import Shared
from tests.support import paper_cuda
from tests.support.paper_streams import PaperStream

COLUMNS = [Column((2,), torch.float32)]


@pytest.fixture(autouse=True)
def paper(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], Tensor]:
    monkeypatch.setattr(captured, "_WARM_UP", 1)
    return paper_cuda.install(monkeypatch)


def _double(x: Tensor) -> Tensor:
    return x * 2


def _runs(runner: Captured) -> bool:
    rows = runner([[torch.ones(2)] * 4])
    return bool((gather(rows).as_subclass(Tensor) == 2).all())


@pytest.mark.parametrize("exact", [True, False])
def test_convolutions_are_chosen_by_trial_first_and_captured_in_the_same_precision(
    exact: bool,
) -> None:
    seen: list[tuple[bool, bool]] = []

    def network(x: Tensor) -> Tensor:
        flags = torch.backends.cudnn
        seen.append((flags.benchmark, flags.allow_tf32))
        return _double(x)

    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    assert _runs(Captured(network, COLUMNS, (4,), "cpu", "captured", Traits(exact=exact)))
    assert seen == [(True, not exact), (False, not exact)]
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize("as_graphs", [True, False])
def test_flags_of_the_whole_process_are_set_for_one_network_at_a_time(as_graphs: bool) -> None:
    alone: list[bool] = []

    def network(x: Tensor) -> Tensor:
        alone.append(capturing.locked())
        return _double(x)

    assert _runs(Captured(network, COLUMNS, (4,), "cpu", "captured" if as_graphs else "single"))
    assert len(alone) == 2
    assert all(alone)


def test_an_urgent_network_goes_before_others_and_shares_no_kind_of_stream_with_jobs() -> None:
    plain: Any = Captured(_double, COLUMNS, (4,), "cpu", "captured")
    urgent: Any = Captured(_double, COLUMNS, (4,), "cpu", "captured", Traits(urgent=True))
    assert urgent._stream.priority < REACH_FIRST < plain._stream.priority


def test_a_device_of_two_priorities_keeps_the_first_one_for_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PaperStream, "priority_range", lambda: (0, -1))
    assert urgent_priority("cpu") == 0


class _Kernels:
    """Stands for what a compiler made."""

    def __call__(self, x: Tensor) -> Tensor:
        return _double(x)


def test_what_was_compiled_lives_as_long_as_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[_Kernels]] = []

    def compiled(network: object, run: object) -> _Kernels:
        del network, run
        kernels = _Kernels()
        made.append(weakref.ref(kernels))
        return kernels

    monkeypatch.setattr(captured, "lacking", lambda: None)
    monkeypatch.setattr(captured, "compiled", compiled)
    runner = Captured(_double, COLUMNS, (4,), "cpu", "compiled")
    runner.warm(4)
    assert made[0]() is not None, "its kernels would be unloaded, and the graph launches them"
    assert _runs(runner)


def test_what_a_size_took_that_does_not_fit_is_given_back_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Taken(Tensor):
        """One can see whether somebody has it."""

    taken: list[weakref.ref[Tensor]] = []
    free: list[bool] = []
    monkeypatch.setattr(
        batcher, "give_back_memory", lambda: free.append(all(ref() is None for ref in taken))
    )

    def network(x: Tensor) -> Tensor:
        if len(x) > 4:
            held = torch.ones(2).as_subclass(Taken)
            taken.append(weakref.ref(held))
            raise torch.OutOfMemoryError(f"no room beside {held.shape}")
        return _double(x)

    shared = Shared(Captured(network, COLUMNS, (4, 8), "cpu", "captured"), (4, 8))
    shared.warm()
    assert free == [True]
    assert shared.limit == 4
