"""How much of its time a GPU is busy, by the driver's own count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from pipeline.batching.cuda import is_cuda


@dataclass(slots=True)
class Busy:
    """How much of a GPU's time some kernel ran, by the driver's own count, and its memory."""

    samples: list[int] = field(default_factory=list)
    most_bytes: int = 0
    unknown: bool = False

    @property
    def share(self) -> float:
        """Per cent in the middle half, in which all slots are at work; 0 where nobody counts."""
        quarter = len(self.samples) // 4
        amid = self.samples[quarter : len(self.samples) - quarter]
        return sum(amid) / len(amid) if amid else 0.0

    def text(self) -> str:
        """In words."""
        if not self.most_bytes:
            return "no GPU"
        said = "unknown" if self.unknown else f"{self.share:.0f} %"
        return f"GPU busy {said}, {self.most_bytes / 1e9:.1f} GB"


@contextmanager
def watched(device: str) -> Iterator[Busy]:
    """Ask the driver every fifth of a second."""
    busy, stop = Busy(), threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            try:
                free, total = torch.cuda.mem_get_info(device)
                busy.most_bytes = max(busy.most_bytes, total - free)
                busy.samples.append(torch.cuda.utilization(device))
            except Exception:  # noqa: BLE001 - no NVML, a driver that does not count, a lost GPU
                busy.unknown = True

    thread = threading.Thread(target=look, daemon=True)
    if is_cuda(device):
        thread.start()
    try:
        yield busy
    finally:
        stop.set()
        if is_cuda(device):
            thread.join()
