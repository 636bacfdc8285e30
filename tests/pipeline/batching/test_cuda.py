"""What CUDA and the libraries beside it say, and what follows from it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch

from pipeline.batching.batcher import Batcher
from pipeline.batching.cuda import is_out_of_memory, on_own_stream

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


@pytest.mark.usefixtures("paper")
def test_jobs_at_one_time_have_streams_of_their_own_and_later_jobs_take_them_over() -> None:
    """New ones for each would leave what a job needs of memory in all that torch has."""

    def streams(jobs: int) -> list[int]:
        with ExitStack() as running:
            seen = []
            for _ in range(jobs):
                running.enter_context(on_own_stream("cuda"))
                seen.append(id(torch.cuda.current_stream()))
            return seen

    first = streams(3)
    assert len(set(first)) == 3
    for jobs in (1, 2, 3, 3):
        assert set(streams(jobs)) <= set(first)


@pytest.mark.usefixtures("paper")
def test_a_stream_is_handed_on_also_by_a_job_that_fails() -> None:
    seen: list[int] = []

    def job() -> None:
        with on_own_stream("cuda"):
            seen.append(id(torch.cuda.current_stream()))
            raise ValueError("it fails")

    for _ in range(2):
        with pytest.raises(ValueError, match="it fails"):
            job()
    assert seen[0] == seen[1]
