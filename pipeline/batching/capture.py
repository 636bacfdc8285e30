"""Capturing a CUDA graph, and putting right what torch leaves behind where that fails.

A capture that the driver has given up cannot be ended (torch 2.13, `CUDAGraph::capture_end`): torch
then raises before its allocators are told, and before the stream is left. From there on nothing
that several streams used would be freed in this process, the next lack of memory would be a failed
assertion, and this thread's next steps would go to the capturing stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from pipeline.batching.compiling import FAILURES
from pipeline.batching.runner import Network

_failed: list[torch.cuda.CUDAGraph] = []
"""torch's allocator of page-locked memory cannot be told, and may ask them for ever."""


class NotMended(RuntimeError):
    """A capture failed, and this process cannot be put right: only a new one can go on."""


def capture(
    network: Network, inputs: Sequence[Tensor], stream: torch.cuda.Stream, pool: Any, device: str
) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """The graph of what a network does with its inputs, and what it writes each time.

    Hold `cuda.capturing` meanwhile, with the device as the current one. Where it fails, everything
    that was asked of the device has been done by then, and the pool is not to be used again.

    Args:
        network: has run before.
        inputs: (n, …) for each column, in the places where they will always be.
        pool: of graphs that run one after the other, `torch.cuda.graph_pool_handle`.

    Returns:
        The graph, and the (n, …) tensor that each replay writes.

    Raises:
        Exception: one of `compiling.FAILURES`, why it cannot be captured.
        NotMended: likewise, and the process is not as it was before.
    """
    graph = torch.cuda.CUDAGraph()
    before = torch.cuda.current_stream(device)
    try:
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            out = network(*inputs)
    except FAILURES:
        torch.cuda.set_stream(before)
        _mend(graph, pool, device)
        raise
    return graph, out


def _mend(graph: torch.cuda.CUDAGraph, pool: Any, device: str) -> None:
    """Leave the process as if nothing had been captured."""
    index = torch.cuda.current_device()
    with suppress(RuntimeError):  # it was ended: the graph itself gives the pool back
        torch._C._cuda_endAllocateToPool(index, pool)
        torch._C._cuda_releasePool(index, pool)
    graph.reset()
    _failed.append(graph)
    try:
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
    except RuntimeError as error:
        raise NotMended("a capture failed, and what it left cannot be removed") from error
