"""A network that cannot be compiled or captured goes the next slower way, with CUDA on paper."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from consumer.workers.rendering import is_sticky
from pipeline.batching import captured
from pipeline.batching.capture import NotMended
from pipeline.batching.captured import Captured
from pipeline.batching.row import gather
from pipeline.batching.runner import Column, Traits
from pipeline.batching.shared import Shared
from pipeline.batching.ways import slowed, ways
from schemas.device import WAYS, Way
from tests.support import paper_cuda
from tests.support.paper_memory import GivenUp
from tests.support.paper_streams import PaperStream

COLUMNS = [Column((2,), torch.float32)]
NAME = "the network of this test"
NOT_IN_A_CAPTURE = [
    GivenUp("CUDA error: operation not permitted when stream is capturing"),
    NotImplementedError("no such operator while a graph is captured"),
    TypeError("a launcher without a stream"),
]


@pytest.fixture(autouse=True)
def paper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(captured, "_WARM_UP", 1)
    monkeypatch.setattr(captured, "lacking", lambda: None)
    monkeypatch.setattr(captured, "compiled", _as_it_is)
    paper_cuda.install(monkeypatch)
    yield
    torch.cuda.empty_cache()  # finds a capture that goes on
    assert not paper_cuda.pools.leaked
    with torch.cuda.stream(own := torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        assert torch.cuda.current_stream() is own


class Compiled:
    """Stands for what a compiler made."""

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self._network = network

    def __call__(self, x: Tensor) -> Tensor:
        return self._network(x)


def _as_it_is(network: Any, run: Callable[[Any], None]) -> Any:
    made = Compiled(network)
    run(made)
    return made


def _double(x: Tensor) -> Tensor:
    return x * 2


def _alone(error: Exception) -> Callable[[Tensor], Tensor]:
    """A network that nothing can capture."""

    def run(x: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            raise error
        return _double(x)

    return run


def _runner(network: Any = _double, way: Way = "compiled", name: str = NAME) -> Captured:
    return Captured(network, COLUMNS, (2, 4), "cpu", way, Traits(name))


def _runs(runner: Captured) -> bool:
    """Whether batches of both sizes come out right, more of them than are under way at a time."""
    made = [(n, runner([[torch.full((2,), float(n + k)) for k in range(n)]])) for n in (4, 1, 3, 2)]
    return all(
        gather(rows).as_subclass(Tensor)[:, 0].tolist() == [2.0 * (n + k) for k in range(n)]
        for n, rows in made
    )


@pytest.mark.parametrize("error", NOT_IN_A_CAPTURE, ids=str)
def test_what_cannot_be_captured_is_launched_kernel_by_kernel_and_nothing_is_left_of_the_attempt(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    before = torch.cuda.current_stream()
    with caplog.at_level(logging.WARNING):
        runner = _runner(_alone(error), "captured")
        runner.warm(4)
        torch.cuda.empty_cache()
        assert type(torch.cuda.current_stream()) is type(before), "not the one that captured"
        runner.warm(2)
        assert _runs(runner)
    (said,) = caplog.messages
    assert str(error) in said, "the first cause, not that the capture's end failed, too"
    assert f"{NAME!r} runs single instead of captured" in said
    assert "F2F_GPU_NETWORKS=single" in said
    assert ways()[NAME] == "single"
    assert NAME in slowed()


@pytest.mark.parametrize("error", NOT_IN_A_CAPTURE, ids=str)
def test_another_network_is_captured_behind_one_that_could_not_be(error: Exception) -> None:
    assert _runs(_runner(_alone(error), "captured"))
    other = _runner(_double, "captured", "another")
    assert _runs(other)
    assert ways()["another"] == "captured"
    assert all(graph.graph is not None for graph in other._graphs.values())


def test_what_was_compiled_and_cannot_be_captured_is_captured_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def compiled(network: Any, run: Callable[[Any], None]) -> Any:
        del run
        return _alone(GivenUp("CUDA error: operation not permitted when stream is capturing"))

    monkeypatch.setattr(captured, "compiled", compiled)
    with caplog.at_level(logging.WARNING):
        runner = _runner()
        assert _runs(runner)
    (said,) = caplog.messages
    assert f"{NAME!r} runs captured instead of compiled" in said
    assert ways()[NAME] == "captured"
    assert all(graph.graph is not None for graph in runner._graphs.values())


@pytest.mark.parametrize("error", NOT_IN_A_CAPTURE, ids=str)
def test_what_can_neither_be_compiled_nor_captured_goes_down_twice(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert _runs(_runner(_alone(error)))
    assert [said.split(" on ")[0].split(" runs ")[1] for said in caplog.messages] == [
        "captured instead of compiled",
        "single instead of captured",
    ]
    assert ways()[NAME] == "single"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("backend='inductor' raised: no Python.h"),
        KeyError("getpwuid(): uid not found: 10001"),
        AssertionError("libcuda.so cannot found!"),
        subprocess.CalledProcessError(1, "gcc"),
        PermissionError(13, "Permission denied: /nonexistent"),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_captured_as_it_is_and_the_log_says_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(network: Any, dynamic: bool) -> Any:
        del network, dynamic

        def run(x: Tensor) -> Tensor:
            raise error

        return run

    monkeypatch.undo()
    monkeypatch.setattr(captured, "_WARM_UP", 1)
    monkeypatch.setattr(captured, "lacking", lambda: None)
    monkeypatch.setattr(torch, "compile", fails)
    paper_cuda.install(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert _runs(_runner())
    (said,) = caplog.messages
    assert str(error).split("\n")[0] in said
    assert "F2F_GPU_NETWORKS=captured" in said
    assert ways()[NAME] == "captured"


def test_a_machine_without_a_compiler_is_said_and_does_not_try(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(captured, "lacking", lambda: "there is no C compiler")
    monkeypatch.setattr(captured, "compiled", None)
    with caplog.at_level(logging.WARNING):
        assert _runs(_runner())
    (said,) = caplog.messages
    assert "there is no C compiler" in said
    assert ways()[NAME] == "captured"


@pytest.mark.parametrize("way", WAYS)
def test_a_network_that_can_goes_the_way_that_it_is_told_and_says_nothing(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert _runs(_runner(_double, way))
    assert caplog.messages == []
    assert ways()[NAME] == way
    assert NAME not in slowed()


@pytest.mark.parametrize("way", ["compiled", "captured"])
def test_a_device_that_is_lost_in_a_capture_ends_the_process(way: Way) -> None:
    def network(x: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            paper_cuda.pools.lost = True
            raise GivenUp("CUDA error: unspecified launch failure")
        return _double(x)

    try:
        with pytest.raises(NotMended) as caught:
            _runner(network, way).warm(4)
    finally:
        paper_cuda.pools.lost = False
    assert is_sticky(caught.value)


def test_a_device_that_is_lost_while_a_network_is_compiled_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(network: Any, run: Any) -> Any:
        raise RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered")

    def synchronize(stream: PaperStream) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(captured, "compiled", lost)
    monkeypatch.setattr(PaperStream, "synchronize", synchronize)
    with pytest.raises(RuntimeError, match="CUDA error: an illegal memory") as caught:
        _runner().warm(4)
    assert is_sticky(caught.value)
    assert caplog.messages == [], "it goes nowhere"


@pytest.mark.parametrize("given_up", [False, True])
def test_memory_that_ends_in_a_capture_halves_the_batch_and_keeps_the_way(
    given_up: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def network(x: Tensor) -> Tensor:
        if len(x) > 2 and torch.cuda.is_current_stream_capturing():
            kind = GivenUp if given_up else torch.OutOfMemoryError
            raise kind("CUDA out of memory. Tried to allocate 2.00 GiB")
        return _double(x)

    runner = _runner(network, "captured")
    shared = Shared(runner, (2, 4))
    shared.warm()
    assert shared.limit == 2
    with shared.open() as lane:
        lane.submit([(torch.full((2,), float(n)),) for n in range(7)])
        made = gather([lane.take() for _ in range(7)]).as_subclass(Tensor)[:, 0]
    assert made.tolist() == [2.0 * n for n in range(7)]
    assert ways()[NAME] == "captured"
    assert caplog.messages == []
