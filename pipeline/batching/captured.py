"""A network on a CUDA device without the cost of launching it: a captured graph per batch size.

Launching a UNet's seven hundred kernels one by one leaves a fast GPU idle for most of the time.
Here each batch size is captured once and then replayed; the largest, which is the one that runs
under load, is compiled before that, so that normalisations, activations and sums fuse. Inputs
travel through two page-locked buffers in turn: while the device works on one batch, the next is
collected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipeline.batching import ways
from pipeline.batching.capture import NotMended, capture
from pipeline.batching.compiling import FAILURES, compiled, lacking
from pipeline.batching.cuda import (
    capturing,
    is_out_of_memory,
    new_event,
    new_stream,
    urgent_priority,
)
from pipeline.batching.row import Row
from pipeline.batching.runner import PLAIN, Column, Network, Traits
from pipeline.batching.sizes import Sizes
from pipeline.errors import in_one_line
from pipeline.waits import wait_for
from schemas.device import Way

_WARM_UP = 3
_MOST_SAID = 400
"""Letters of a reason in the log; a compiler's go on for pages."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Graph:
    size: int
    inputs: list[Tensor]
    network: Network
    """What was captured. A compiled network's kernels are unloaded from the device with it."""
    graph: torch.cuda.CUDAGraph | None = None
    """None: the network is launched kernel by kernel."""
    out: Tensor | None = None
    """What the graph writes, always in the same place."""


@dataclass(slots=True)
class _Stage:
    """Host memory of one batch on its way."""

    buffers: list[Tensor]
    done: torch.cuda.Event
    read: list[Sequence[Tensor]] = field(default_factory=list)
    """Rows of the device that the batch is made of. They belong to their jobs' streams: let go of
    before they are read, their memory would be written anew by what those streams do next."""


class Captured:
    """A network on a CUDA device; `pipeline.batching.runner.Runner`.

    Where it cannot be compiled, or cannot be captured, it goes the next slower way for good, and
    the log says why.

    Args:
        network: what to run; its weights are on the device.
        buckets: batch sizes, ascending; a batch in between is filled up.
        way: `compiled`: the largest bucket, which takes a minute the first time on a machine, later
            some seconds, because what was compiled is kept on disk by torch; `captured`: as graphs;
            `single`: each batch is launched kernel by kernel.
    """

    def __init__(
        self,
        network: Network,
        columns: Sequence[Column],
        buckets: Sequence[int],
        device: str,
        way: Way,
        traits: Traits = PLAIN,
    ) -> None:
        self._network = network
        self._columns = columns
        self._sizes = Sizes(buckets)
        self._device = device
        self._name = traits.name
        self._exact = traits.exact
        self._priority = urgent_priority(device) if traits.urgent else 0
        self._way = way
        ways.note(self._name, way)
        lack = lacking() if self._way == "compiled" else None
        if lack is not None:
            self._go("captured", lack)
        self._begin()
        self._graphs: dict[int, _Graph] = {}
        self._stages = [self._stage(), self._stage()]

    @torch.inference_mode()
    def __call__(self, columns: Sequence[Sequence[Tensor]]) -> list[Row]:
        """Queue a batch; waits only while two are queued already."""
        count = len(columns[0])
        graph = self._graph(self._sizes.holding(count))
        stage = self._stages[0]
        self._stages.reverse()
        wait_for(stage.done)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for rows, held, static in zip(columns, stage.buffers, graph.inputs, strict=True):
                if rows[0].device.type == "cpu":
                    torch.stack(list(rows), out=held[:count])
                    static[:count].copy_(held[:count], non_blocking=True)
                else:
                    static[:count].copy_(torch.stack(list(rows)))
            out = self._made(graph)[:count].clone()
            stage.done = new_event()
            stage.done.record(self._stream)
        stage.read = [rows for rows in columns if rows[0].device.type != "cpu"]
        return [Row(out, n, stage.done) for n in range(count)]

    def warm(self, size: int) -> None:
        """Capture a size now instead of when it is first needed; begin with the largest."""
        self._graph(size)

    def _stage(self) -> _Stage:
        size = self._sizes.largest
        buffers = [
            torch.empty(size, *column.shape, dtype=column.dtype, pin_memory=True)
            for column in self._columns
        ]
        return _Stage(buffers, new_event())

    def _begin(self) -> None:
        """Where graphs are captured: nothing of a capture that failed is used again."""
        self._stream = new_stream(self._device, self._priority)
        # Who makes a runner may have asked for weights to be rearranged, and has not waited.
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        self._pool = torch.cuda.graph_pool_handle()

    def _go(self, way: Way, why: object) -> None:
        """Take a slower way for good."""
        best, self._way = self._way, way
        ways.note(self._name, way, slowed=True)
        _log.warning(
            "the network %r runs %s instead of %s on %s, more slowly, since: %s."
            " F2F_GPU_NETWORKS=%s would not try",
            self._name,
            way,
            best,
            self._device,
            in_one_line(why, _MOST_SAID),
            way,
        )

    def _graph(self, size: int) -> _Graph:
        if size not in self._graphs:
            with capturing, self._halving(size):
                self._graphs[size] = self._capture(size)
        return self._graphs[size]

    def _made(self, graph: _Graph) -> Tensor:
        """(size, …) of what lies in the inputs; the next batch may write over it."""
        if graph.graph is not None and graph.out is not None:
            graph.graph.replay()
            return graph.out
        # cuDNN's flags are the process's: beside another network they would be that one's.
        with capturing, self._convolving(by_trial=False), self._halving(graph.size):
            return graph.network(*graph.inputs)

    @contextmanager
    def _halving(self, size: int) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error):
                self._sizes.refuse(size)
            raise

    @torch.inference_mode()
    def _capture(self, size: int) -> _Graph:
        with torch.cuda.device(self._device):
            with torch.cuda.stream(self._stream):
                inputs = [self._input(column, size) for column in self._columns]
                network = self._tried(inputs, size)
            self._stream.synchronize()
            if self._way == "single":
                return _Graph(size, inputs, network)
            try:
                with self._convolving(by_trial=False):
                    graph, out = capture(network, inputs, self._stream, self._pool, self._device)
            except FAILURES as error:
                if isinstance(error, NotMended):
                    raise
                self._begin()
                why = error.__context__ or error  # the capture's end says only that it was broken
                for said in (error, why):
                    if is_out_of_memory(said):
                        raise said from None
                self._go("single" if network is self._network else "captured", why)
            else:
                return _Graph(size, inputs, network, graph, out)
        return self._capture(size)

    def _tried(self, inputs: list[Tensor], size: int) -> Network:
        """The network, compiled where that is asked for and works, after it has run."""
        if self._way == "compiled" and size == self._sizes.largest:
            try:
                return compiled(self._network, lambda network: self._run(network, inputs))
            except FAILURES as error:
                if is_out_of_memory(error):
                    raise
                self._stream.synchronize()  # which a lost device does not outlive
                self._go("captured", error)
        self._run(self._network, inputs)
        return self._network

    def _run(self, network: Network, inputs: list[Tensor]) -> None:
        with self._convolving(by_trial=True):
            for _ in range(_WARM_UP):
                network(*inputs)

    def _convolving(self, by_trial: bool) -> AbstractContextManager[Any]:
        """How cuDNN goes to work.

        What it found by trial it takes again when a graph is captured, where nothing can be tried;
        its choices are known by the precision that they were made for.
        """
        return torch.backends.cudnn.flags(
            enabled=True, benchmark=by_trial, allow_tf32=not self._exact
        )

    def _input(self, column: Column, size: int) -> Tensor:
        zeros = torch.zeros(size, *column.shape, dtype=column.dtype, device=self._device)
        return zeros.contiguous(memory_format=torch.channels_last) if zeros.ndim == 4 else zeros
