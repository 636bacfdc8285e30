"""The device side of Wav2Lip: one network for all jobs on a device, in shared batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.batching.batcher import Lane
from pipeline.batching.placed import runner_on
from pipeline.batching.row import Row
from pipeline.batching.runner import Column, Network
from pipeline.batching.shared import Item, Shared
from pipeline.engines.neural.avatar import Layout
from pipeline.engines.neural.buckets import buckets_on
from pipeline.engines.wav2lip.mel import BANDS, WINDOW
from pipeline.engines.wav2lip.network import Wav2Lip
from pipeline.engines.wav2lip.picture import network_input, to_bytes


class Painter:
    """Runs the network for any number of jobs.

    Args:
        network: with weights, on its device.
        device: where it is.
        threads: processors that one operator may use on the CPU.
        buckets: batch sizes; by default what suits the device.
        compiled: on CUDA, compile the largest batch size.
    """

    def __init__(
        self,
        network: Wav2Lip,
        device: str,
        threads: int = 1,
        buckets: Sequence[int] | None = None,
        compiled: bool = True,
    ) -> None:
        side = network.side
        self.layout = Layout("pictures", (3, side, side), torch.uint8)
        columns = [
            Column(self.layout.shape, self.layout.dtype),
            Column((BANDS, WINDOW), torch.float32),
        ]
        sizes = tuple(buckets or buckets_on(device))
        runner = runner_on(
            device,
            _painting(network),
            columns,
            sizes,
            name="wav2lip paints",
            threads=threads,
            compiled=compiled,
        )
        self._shared = Shared(runner, sizes)

    @property
    def limit(self) -> int:
        """Frames of the largest batch."""
        return self._shared.limit

    def warm(self) -> None:
        """Capture and compile now what the first batches would wait for."""
        self._shared.warm()

    def paint(self, deadline: float | None = None) -> Lane[Item, Row]:
        """A job's lane: from what each face is, to what it becomes.

        (3, S, S) uint8 RGB of its box and its (80, 16) window of the mel, to (3, S, S) uint8 RGB on
        the device.
        """
        return self._shared.open(deadline)


def _painting(network: Wav2Lip) -> Network:
    like = next(network.parameters())

    def run(pictures: Tensor, mel: Tensor) -> Tensor:
        x = network_input(pictures.flip(1)).to(like.dtype)  # the network sees BGR
        out: Tensor = network(mel.unsqueeze(1).to(like.dtype), x)
        return to_bytes(out).flip(1)

    return run
