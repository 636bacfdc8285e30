"""A CUDA device that is only said: its tensors hold real numbers in the host's memory.

Everything runs and makes the numbers that it makes on the host, and yet each tensor says that it is
on `cuda:0`. torch's rules of devices are checked at every operator in every thread: what mixes two
devices raises, and so does a capture that touches the host, a copy that nobody waits for, and
memory that another stream may still work on (`strict_streams`). Where the host waits for the device
is counted, by the line of ours that asked. `paper_cuda` beside it is late; this one is strict.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch

from tests.support import strict_streams
from tests.support.strict_device import Mode, StrictCuda, StrictGraph
from tests.support.strict_streams import StrictEvent, StrictStream, current, here

__all__ = ["StrictCuda", "strict_cuda"]


@contextmanager
def _entered(stream: StrictStream) -> Iterator[None]:
    before = getattr(here, "streams", [])
    here.streams = [*before, stream]
    try:
        yield
    finally:
        here.streams = before


@contextmanager
def _captured(
    graph: StrictGraph, pool: Any, stream: StrictStream, capture_error_mode: str
) -> Iterator[None]:
    assert capture_error_mode == "thread_local", "what other threads do would break it"
    assert pool is not None
    here.graph = graph
    try:
        with _entered(stream):
            yield
    finally:
        here.graph = None


def _nothing(*_: Any, **__: Any) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def strict_cuda() -> Iterator[StrictCuda]:
    """Let there be a CUDA device, in all threads that begin inside."""
    device = StrictCuda()
    run = threading.Thread.run

    def with_device(thread: threading.Thread) -> None:
        torch._C._set_only_lift_cpu_tensors(True)  # of this thread alone
        with Mode(device):
            run(thread)

    with pytest.MonkeyPatch.context() as patch, Mode(device):
        strict_streams.begin()
        patch.setattr("pipeline.batching.cuda._idle", {})  # its streams are no other test's
        patch.setattr(threading.Thread, "run", with_device)
        for name, strict in {
            "Stream": StrictStream,
            "Event": StrictEvent,
            "CUDAGraph": StrictGraph,
            "graph": _captured,
            "graph_pool_handle": object,
            "is_current_stream_capturing": lambda: getattr(here, "graph", None) is not None,
            "current_device": lambda: 0,
            "device": _nothing,
            "stream": _entered,
            "current_stream": lambda *_: current(),
            "synchronize": lambda *_: strict_streams.wait_for_all(),
            "empty_cache": lambda: None,
            "_lazy_init": lambda: None,
            "get_device_name": lambda *_: "strict",
        }.items():
            patch.setattr(torch.cuda, name, strict)
        future = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # `Module.to` keeps types
        lifted = torch._C._only_lift_cpu_tensors()  # `torch.tensor` asks the mode, not the driver
        torch._C._set_only_lift_cpu_tensors(True)
        try:
            yield device
        finally:
            torch._C._set_only_lift_cpu_tensors(lifted)
            torch.__future__.set_overwrite_module_params_on_conversion(future)
