"""A network on two processors: half of a batch each.

A look at faces is the longest step of tracking, and one thread's; the decoder, which runs beside
it, leaves most of a second processor free. Batches are halved where there is one processor as
well, so that what torch computes has the same sizes, and points the same bits, anywhere.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from pipeline.faces.network import Network

FEWEST = 4
"""Pictures from which on two halves are quicker than one batch."""


class HalvedNetwork:
    """Stands for a `Network` on the CPU.

    Args:
        network: what runs.
        threads: that may run it; with two, the second half goes beside the first.
    """

    def __init__(self, network: Network, threads: int) -> None:
        self._network = network
        self._beside = ThreadPoolExecutor(1, "f2f-look") if threads > 1 else None
        self.device = network.device
        self.size = network.size

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Run a batch; see `Network`."""
        if len(pictures) < FEWEST:
            return self._network(pictures)
        first, second = pictures.tensor_split(2)
        if self._beside is None:
            return _joined(self._network(first), self._network(second))
        beside = self._beside.submit(self._network, second)
        try:
            mine = self._network(first)
        finally:
            theirs = beside.result()  # nobody reads the pictures any more when this returns
        return _joined(mine, theirs)


def _joined(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.cat([part, second[name]]) for name, part in first.items()}
