"""torch's CUDA objects that it does not type."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

REACH_FIRST = -1
"""Priority of streams whose short work somebody waits for."""


def new_stream(device: str, priority: int = 0) -> torch.cuda.Stream:
    """A stream that does not wait for the default one."""
    return torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]


def new_event() -> torch.cuda.Event:
    """A mark in a stream, without a time."""
    return torch.cuda.Event()  # type: ignore[no-untyped-call]


def is_cuda(device: str) -> bool:
    """Whether a device's name is of CUDA."""
    return torch.device(device).type == "cuda"


def settle(device: str) -> None:
    """Wait for what this thread has asked of the device; at once on the CPU.

    Before tensors go to somebody who reads them on a stream of his own.
    """
    if is_cuda(device):
        torch.cuda.current_stream(device).synchronize()


def on_own_stream(device: str) -> AbstractContextManager[Any]:
    """What runs inside goes to a stream of its own on a GPU; nothing changes on the CPU."""
    return torch.cuda.stream(new_stream(device)) if is_cuda(device) else nullcontext()


def give_back_memory() -> None:
    """Hand what the allocator holds and nobody uses back to the device; nothing without CUDA."""
    torch.cuda.empty_cache()
