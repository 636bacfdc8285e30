"""The strict device holds torch's rules: what breaks one is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.batching.captured import Captured
from pipeline.batching.cuda import new_event, new_stream, settle
from pipeline.batching.row import gather
from pipeline.batching.runner import Column
from tests.support.strict_cuda import StrictCuda, strict_cuda
from tests.support.strict_streams import Race

GPU = "cuda:0"


@pytest.fixture
def device() -> Iterator[StrictCuda]:
    with strict_cuda() as made, torch.inference_mode():
        yield made


def test_two_devices_do_not_mix(device: StrictCuda) -> None:
    there = torch.ones(2, device=GPU)
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(2)
    assert (there + torch.tensor(1.0)).tolist() == [2.0, 2.0], "a number may come from the host"
    assert sum(device.waits.values()) == 1, "who reads it"


def test_the_host_is_seen_to_wait(device: StrictCuda) -> None:
    there = torch.arange(3, device=GPU)
    for wait in (
        lambda: there[[0, 2]],
        lambda: there[there > 0],
        lambda: bool((there > 5).any()),
        lambda: torch.ones(2).to(GPU, non_blocking=True),
    ):
        before = sum(device.waits.values())
        wait()
        assert sum(device.waits.values()) == before + 1
    before = sum(device.waits.values())
    torch.empty(2, pin_memory=True).to(GPU, non_blocking=True)
    assert sum(device.waits.values()) == before


def test_memory_of_another_stream_is_not_touched_before_it_is_done(device: StrictCuda) -> None:
    with torch.cuda.stream(new_stream(GPU)):
        there = torch.ones(2, device=GPU)
        done = new_event()
        done.record(torch.cuda.current_stream())
    reader = new_stream(GPU)
    with torch.cuda.stream(reader):
        with pytest.raises(Race):
            there + 1
        reader.wait_event(done)
        there + 1
    del there
    assert len(device.races) == 1, "its own stream would use it again while the other reads it"


def test_a_runner_comes_after_what_its_maker_asked_of_the_device(device: StrictCuda) -> None:
    weight = torch.ones(2, device=GPU) * 3  # nobody has waited for it
    column = Column((2,), torch.float32)
    runner = Captured(lambda rows: rows * weight, [column], (2,), GPU, "captured")
    made = gather(runner([[torch.ones(2), torch.ones(2)]]))
    settle(GPU)
    assert made.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert device.races == []


def test_a_capture_that_touches_the_host_goes_another_way(
    device: StrictCuda, caplog: pytest.LogCaptureFixture
) -> None:
    column = Column((), torch.float32)
    runner = Captured(lambda rows: rows * float(rows[0]), [column], (1,), GPU, "captured")
    made = gather(runner([[torch.tensor(3.0)]]))
    settle(GPU)
    assert made.tolist() == [9.0]
    assert "not permitted when the stream is capturing" in caplog.text
    assert device.operators > 0
