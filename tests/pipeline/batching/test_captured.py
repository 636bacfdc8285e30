"""The captured runner with CUDA on paper (`tests.support.paper_cuda`)."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.batching import placed
from pipeline.batching.captured import Captured
from pipeline.batching.cuda import capturing, give_back_memory, new_stream, on_own_stream
from pipeline.batching.row import gather
from pipeline.batching.runner import Column, Traits
from pipeline.hardware import allow
from schemas.device import WAYS, Way
from tests.pipeline.batching.summing import COLUMNS, drawn, summed, values

pytestmark = pytest.mark.usefixtures("paper")


def test_a_graph_that_is_replayed_makes_what_the_network_makes_of_new_rows() -> None:
    runner = Captured(summed, COLUMNS, (4, 8), "cpu", "captured")
    for turn, count in enumerate((1, 4, 7, 8, 3)):
        a, b, want = drawn(count, turn)
        assert torch.equal(values(runner([a, b])), want)


def test_kernels_launched_one_by_one_make_the_same_and_no_graph() -> None:
    runs: list[int] = []

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        runs.append(len(picture))
        return summed(picture, sound)

    runner = Captured(network, COLUMNS, (4, 8), "cpu", "single")
    runner.warm(8)
    runner.warm(4)
    runs.clear()
    for turn, count in enumerate((8, 3, 4)):
        a, b, want = drawn(count, turn)
        assert torch.equal(values(runner([a, b])), want)
    assert runs == [8, 4, 4], "a graph runs its network only when it is captured"


@pytest.mark.parametrize("how", WAYS)
def test_a_setting_says_how_networks_run_on_a_gpu(
    how: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Way] = []
    monkeypatch.setattr(placed, "Captured", lambda *args: told.append(args[4]))
    allow(launching=how)
    try:
        placed.runner_on("cuda", summed, COLUMNS, (4, 8))
        placed.runner_on("cuda", summed, COLUMNS, (4, 8), Traits(compiled=False))
    finally:
        allow(launching="compiled")
    assert told == [how, "captured" if how == "compiled" else how]


def test_batches_that_nobody_has_taken_yet_stay_as_they_were() -> None:
    runner = Captured(summed, COLUMNS, (4,), "cpu", "captured")
    flying = [(runner(drawn(n, n)[:2]), drawn(n, n)[2]) for n in (4, 2, 3, 4, 1)]
    for made, want in flying:
        assert torch.equal(values(made), want)


def test_batches_may_be_taken_in_any_order_and_none_is_read_before_it_is_made() -> None:
    runner = Captured(summed, COLUMNS, (4,), "cpu", "captured")
    flying = [(runner(drawn(4, n)[:2]), drawn(4, n)[2]) for n in range(5)]
    unread = flying[-1][0][0].batch
    assert unread.isnan().all(), "the paper device is late: what follows must wait for it"
    for made, want in flying[::-1]:
        assert torch.equal(values(made), want)


def test_rows_that_lie_on_the_device_are_copied_there_beside_others_from_the_host(
    paper: Callable[[Tensor], Tensor],
) -> None:
    runner = Captured(summed, COLUMNS, (4,), "cpu", "captured")
    made = []
    for turn, count in enumerate((4, 2, 3)):
        a, b, want = drawn(count, turn)
        on_device = list(paper(torch.stack(b)).unbind())
        assert on_device[0].device.type == "cuda"
        made.append((runner([a, on_device]), want))
    for rows, want in made:
        assert torch.equal(values(rows), want)


def test_rows_of_the_device_are_kept_until_it_has_read_them(
    paper: Callable[[Tensor], Tensor],
) -> None:
    class Rows(list[Tensor]):
        """One can see whether somebody has it."""

    runner = Captured(lambda x: x * 2, [Column((2,), torch.float32)], (4,), "cpu", "captured")
    rows = Rows(paper(torch.ones(2, 2)).unbind())
    kept = weakref.ref(rows)
    made = [runner([rows])]
    del rows
    made.append(runner([[torch.ones(2)]]))
    assert kept() is not None, "its stage may still be on its way"
    made.append(runner([[torch.ones(2)]]))
    assert kept() is None, "the host has waited for that stage"
    assert torch.equal(values(made[0]), torch.full((2, 2), 2.0))


def test_a_batch_that_is_gathered_keeps_its_memory_for_the_stream_that_reads_it() -> None:
    runner = Captured(summed, COLUMNS, (4,), "cpu", "captured")
    first, second = runner(drawn(2)[:2]), runner(drawn(3)[:2])
    reader: Any = new_stream("cuda")
    with torch.inference_mode(), torch.cuda.stream(reader):
        gather([*first, *second])
    assert [id(batch) for batch in reader.kept] == [id(first[0].batch), id(second[0].batch)]


def test_memory_is_not_given_back_while_a_graph_is_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alone.append(capturing.locked()))

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        alone.append(capturing.locked())
        return summed(picture, sound)

    Captured(network, COLUMNS, (4,), "cpu", "captured").warm(4)
    give_back_memory()
    assert alone == [True] * 3, "warming up, capturing, giving back"


def test_no_jobs_stream_is_of_the_kind_of_those_that_capture() -> None:
    runner: Any = Captured(summed, COLUMNS, (4,), "cpu", "captured")
    with on_own_stream("cuda"):
        job: Any = torch.cuda.current_stream()
    assert runner._stream.priority != job.priority


def test_the_host_waits_for_a_batch_only_when_two_are_behind_it() -> None:
    runner = Captured(summed, COLUMNS, (4,), "cpu", "captured")
    events = [runner(drawn(2, n)[:2])[0].done for n in range(4)]
    assert [event.waits for event in events] == [1, 1, 0, 0]  # type: ignore[union-attr]


def test_a_number_read_on_the_host_is_found_when_it_is_captured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = Captured(
        lambda x: x * float(x[0]), [Column((), torch.float32)], (2,), "cpu", "captured"
    )
    for number in (3.0, 5.0):
        assert values(runner([[torch.tensor(number)]])).tolist() == [number**2]
    (said,) = caplog.messages
    assert "reads a number on the host" in said
