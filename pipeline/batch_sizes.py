"""How many frames travel together through the stages of a job."""

from __future__ import annotations

from pipeline.batching.cuda import is_cuda

BATCH = 8
"""Frames that travel together through generate, on the CPU."""
GPU_BATCH = 16
"""On a GPU, where a batch's steps cost the interpreter more than their samples cost the device."""
LARGE_PIXELS, LARGE_BATCH = 1_500_000, 4
"""Pictures above this travel in smaller batches on the CPU: one of 1080p takes 3 MB, and dozens are
on their way."""


def batch_of(pixels: int, device: str) -> int:
    """Frames that travel together through generate on a device."""
    if is_cuda(device):
        return GPU_BATCH
    return LARGE_BATCH if pixels > LARGE_PIXELS else BATCH
