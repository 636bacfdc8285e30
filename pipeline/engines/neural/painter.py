"""The device side of a neural engine: its networks, in batches shared by all jobs on a device."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.batching.batcher import Lane
from pipeline.batching.cuda import is_cuda
from pipeline.batching.placed import runner_on
from pipeline.batching.row import Row
from pipeline.batching.runner import Column, Network, Traits
from pipeline.batching.shared import Item, Shared
from pipeline.engines.neural.avatar import Layout
from pipeline.hardware import use

SMALLEST = 8
"""Faces of a batch; on the CPU of every one: larger ones are no faster there."""


class Painter:
    """Runs the networks of an engine for any number of jobs; a subclass makes them.

    Args:
        layout: what is kept of a face.
        threads: processors that one operator may use on the CPU.
        buckets: batch sizes; by default what suits the device.
        compiled: on CUDA, compile the largest batch size.
    """

    _painting: Shared
    """The network that paints."""

    def __init__(
        self,
        name: str,
        layout: Layout,
        device: str,
        threads: int,
        buckets: Sequence[int] | None,
        compiled: bool,
    ) -> None:
        self.layout = layout
        self.device = device
        self._name = name
        self._threads = threads
        self._buckets = tuple(buckets or buckets_on(device))
        self._compiled = compiled
        self._all: list[Shared] = []

    @property
    def limit(self) -> int:
        """Faces of the largest batch."""
        return self._painting.limit

    def warm(self) -> None:
        """Capture and compile now what the first batches would wait for."""
        for each in self._all:
            each.warm()

    def paint(self, deadline: float | None = None) -> Lane[Item, Row]:
        """A job's lane: (input, heard) of faces, to (3, S, S) uint8 RGB on the device."""
        return self._painting.open(deadline)

    def _shared(
        self, does: str, network: Network, columns: Sequence[Column], *, alone: bool = False
    ) -> Shared:
        """A network for all jobs.

        Args:
            does: its name behind the engine's.
            alone: a row at a time: what is made of it hangs on no other, and it is rare.
        """
        buckets = (1,) if alone else self._buckets
        traits = Traits(f"{self._name} {does}", compiled=self._compiled and not alone)
        runner = runner_on(self.device, network, columns, buckets, traits, self._threads)
        made = Shared(runner, buckets)
        self._all.append(made)
        return made


def buckets_on(device: str) -> tuple[int, ...]:
    """The batch sizes that suit a device, ascending; the largest is what runs under load."""
    if not is_cuda(device):
        return (SMALLEST,)
    sizes = [SMALLEST]
    while 2 * sizes[-1] <= use().largest_batch:
        sizes.append(2 * sizes[-1])
    return tuple(sizes)
