"""What CUDA and the libraries beside it say, and what follows from it."""

from __future__ import annotations

import pytest
import torch

from pipeline.batching.batcher import Batcher
from pipeline.batching.cuda import is_out_of_memory

NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED at CUDACachingAllocator.cpp"),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_whoever_says_that_memory_ended_the_batch_halves(error: Exception) -> None:
    def run(batch: list[int]) -> list[int]:
        if len(batch) > 2:
            raise error
        return batch

    batcher: Batcher[int, int] = Batcher(run, (8,), 60.0)
    with batcher.open() as lane:
        lane.submit(range(8))
        assert [lane.take() for _ in range(8)] == list(range(8))
    assert batcher.limit == 2


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("out of memory"),
    ],
    ids=str,
)
def test_a_broken_device_is_not_taken_for_a_full_one(error: Exception) -> None:
    assert not is_out_of_memory(error)
