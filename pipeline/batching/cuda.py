"""torch's CUDA objects that it does not type."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.batching import no_memory
from pipeline.waits import wait_for

REACH_FIRST = -1
"""Priority of streams whose short work somebody waits for. torch hands out 32 streams of each
priority in turn, so that a job's must not have that of captured networks: the 33rd would be one of
theirs, and what it is asked would become a part of a graph."""
REACH_BEFORE = -2
"""Of captured networks of many short steps: each would wait for a longer one's blocks of work."""
capturing = threading.Lock()
"""Two captures at once, or one beside a device-wide synchronisation, would spoil each other."""
_idle: dict[str, list[torch.cuda.Stream]] = {}
"""Streams of jobs that have ended, by device; the last one first."""
_handing_on = threading.Lock()


def new_stream(device: str, priority: int = 0) -> torch.cuda.Stream:
    """A stream that does not wait for the default one."""
    return torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]


def urgent_priority(device: str) -> int:
    """`REACH_BEFORE` where a device tells so many priorities apart; else that of all networks.

    torch takes the nearest one that there is, which would be the jobs'.
    """
    with torch.cuda.device(device):
        _, first = torch.cuda.Stream.priority_range()  # type: ignore[call-arg]  # it is static
    return REACH_BEFORE if first <= REACH_BEFORE else 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device's memory ended.

    torch's allocator has a type for it; what takes memory beside that, such as a graph that is made
    ready or a library's handle, says it in words.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in no_memory.SIGNS)


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
        wait_for(reached)


def on_host(made: torch.Tensor) -> torch.Tensor:
    """What this thread had made, of any shape, in host memory.

    The wait is asleep, which that of `cpu` alone is not.
    """
    settle(str(made.device))
    return made.cpu()


@contextmanager
def on_own_stream(device: str) -> Iterator[None]:
    """What runs inside goes to a stream of its own on a GPU; nothing changes on the CPU.

    Streams are handed on from job to job. torch's allocator keeps for each stream what ever worked
    on it took: with new ones all 32 would hold a job's memory in the end, however few jobs run.
    """
    if not is_cuda(device):
        yield
        return
    with _handing_on:
        idle = _idle.setdefault(device, [])
        own = idle.pop() if idle else new_stream(device, REACH_FIRST)
    try:
        with torch.cuda.stream(own):
            yield
    finally:
        with _handing_on:
            idle.append(own)


def give_back_memory() -> None:
    """Hand what the allocator holds and nobody uses back to the device; nothing without CUDA.

    It waits for the whole device, which torch refuses while a graph is captured.
    """
    with capturing:
        torch.cuda.empty_cache()
