"""torch's CUDA objects that it does not type."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

REACH_FIRST = -1
"""Priority of streams whose short work somebody waits for. torch hands out 32 streams of each
priority in turn, so that a job's must not have that of captured networks: the 33rd would be one of
theirs, and what it is asked would become a part of a graph."""
capturing = threading.Lock()
"""Two captures at once, or one beside a device-wide synchronisation, would spoil each other."""


def new_stream(device: str, priority: int = 0) -> torch.cuda.Stream:
    """A stream that does not wait for the default one."""
    return torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]


def new_event() -> torch.cuda.Event:
    """A mark in a stream, without a time. Who waits for it sleeps.

    CUDA's other waits, for a stream or for a copy, keep a processor busy until they end (CUDA
    driver API, CU_CTX_SCHED_AUTO): with a job in each slot, those that x264 needs.
    """
    return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]


def is_cuda(device: str) -> bool:
    """Whether a device's name is of CUDA."""
    return torch.device(device).type == "cuda"


def settle(device: str) -> None:
    """Wait asleep for what this thread has asked of the device; at once on the CPU.

    Before tensors go to somebody who reads them on a stream of his own, or to the host.
    """
    if is_cuda(device):
        reached = new_event()
        reached.record(torch.cuda.current_stream(device))
        reached.synchronize()


def on_host(made: torch.Tensor) -> torch.Tensor:
    """What this thread had made, in host memory; the wait is asleep, which `cpu` alone is not."""
    settle(str(made.device))
    return made.cpu()


def on_own_stream(device: str) -> AbstractContextManager[Any]:
    """What runs inside goes to a stream of its own on a GPU; nothing changes on the CPU."""
    own = is_cuda(device)
    return torch.cuda.stream(new_stream(device, REACH_FIRST)) if own else nullcontext()


def give_back_memory() -> None:
    """Hand what the allocator holds and nobody uses back to the device; nothing without CUDA.

    It waits for the whole device, which torch refuses while a graph is captured.
    """
    with capturing:
        torch.cuda.empty_cache()
