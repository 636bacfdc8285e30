"""Running a network on batches of rows, on any device, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline.batching.row import Row

Network = Callable[..., Tensor]
"""(n, ...) tensors, one per column, to (n, ...): row i depends on the rows i alone."""


@dataclass(frozen=True, slots=True)
class Column:
    """One argument of a network."""

    shape: tuple[int, ...]
    """Of one row."""
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Traits:
    """What is particular to a network on a GPU."""

    name: str = "a network"
    """In the log and in `pipeline.batching.ways`."""
    compiled: bool = True
    """Whether compiling it, for its largest batch, is worth the time."""
    urgent: bool = False
    """Its steps are short and somebody waits for them: they go before other networks'."""
    exact: bool = False
    """Convolutions of single precision keep all bits of their factors."""


PLAIN = Traits()


class Runner(Protocol):
    """Makes one row of each row of its columns. Called from one thread at a time."""

    def __call__(self, columns: Sequence[Sequence[Tensor]]) -> list[Row]:
        """Run a batch.

        Args:
            columns: for each argument as many rows as there are frames, on the host or the device.

        Raises:
            RuntimeError: the device has no room for so many (`cuda.is_out_of_memory`).
        """
        ...

    def warm(self, size: int) -> None:
        """Do now what the first batch of this size would wait for.

        Raises:
            RuntimeError: the device has no room for so many (`cuda.is_out_of_memory`).
        """
        ...


class Direct:
    """The network as it is, on the host's processors or on any device.

    Args:
        threads: processors that one operator may use on the CPU.
    """

    def __init__(
        self, network: Network, columns: Sequence[Column], device: str, threads: int = 1
    ) -> None:
        self._network = network
        self._columns = columns
        self._device = device
        self._threads = threads

    @torch.inference_mode()
    def __call__(self, columns: Sequence[Sequence[Tensor]]) -> list[Row]:
        """Run a batch; complete when it returns, on the CPU."""
        if self._device == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # a setting of each thread
        stacked = [
            torch.stack(list(rows)).to(self._device, column.dtype)
            for rows, column in zip(columns, self._columns, strict=True)
        ]
        out = self._network(*stacked)
        return [Row(out, n) for n in range(len(out))]

    def warm(self, size: int) -> None:
        """There is nothing to wait for."""
