"""What a process holds of its GPU's memory: before any job, and for each job on top."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from pipeline.batching.cuda import give_back_memory, is_cuda
from schemas.device import DeviceMemory

CONTEXT = 600 * 1024**2
"""Bytes of CUDA's context and libraries, which no allocator counts."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Of a device, at one time."""

    total: int
    """Bytes of the device."""
    most: int
    """Bytes that this process's allocator has taken from it at most; graph pools are among them."""


class MemoryWatch:
    """Watches one device; made when engines are warm and no job has run."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._running = self._jobs = 0
        self._idle = read().most

    @contextmanager
    def job(self) -> Iterator[None]:
        """One job runs inside."""
        with self._lock:
            self._running += 1
            self._jobs = max(self._jobs, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def held(self) -> DeviceMemory:
        """What is known now; cheap enough for every heartbeat.

        The allocator keeps what a job has freed, so that its growth belongs to as many jobs as ever
        ran at once.
        """
        now = self._read()
        grown = max(0, now.most - self._idle)
        with self._lock:
            job = -(-grown // self._jobs) if self._jobs else 0
            return DeviceMemory(
                total_bytes=now.total,
                idle_bytes=self._idle + CONTEXT,
                job_bytes=job,
                jobs=self._jobs,
            )


def watch_memory(device: str) -> MemoryWatch | None:
    """A watch of a CUDA device; None for others."""
    if not is_cuda(device):
        return None
    total = torch.cuda.get_device_properties(device).total_memory
    give_back_memory()
    torch.cuda.reset_peak_memory_stats(device)  # warming tries much that no job ever needs
    return MemoryWatch(lambda: Reading(total, torch.cuda.max_memory_reserved(device)))
