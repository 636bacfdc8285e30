"""The device side of Wav2Lip: one network for all jobs on a device, in shared batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.batching.batcher import Batcher, Lane
from pipeline.batching.cuda import is_cuda
from pipeline.batching.placed import runner_on
from pipeline.batching.row import Row
from pipeline.batching.runner import Column, Network
from pipeline.engines.musetalk.painter import BUCKETS_CPU, BUCKETS_CUDA
from pipeline.engines.wav2lip.mel import BANDS, WINDOW
from pipeline.engines.wav2lip.network import Wav2Lip
from pipeline.engines.wav2lip.picture import network_input, to_bytes

Face = tuple[Tensor, Tensor]
"""(3, S, S) uint8 RGB of the face's box, and its (80, 16) window of the mel."""


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
        self.side = network.side
        chosen = tuple(buckets or (BUCKETS_CUDA if is_cuda(device) else BUCKETS_CPU))
        columns = [
            Column((3, network.side, network.side), torch.uint8),
            Column((BANDS, WINDOW), torch.float32),
        ]
        runner = runner_on(
            device, _painting(network), columns, chosen, threads=threads, compiled=compiled
        )
        self._runner = runner
        self._batcher: Batcher[Face, Row] = Batcher(
            lambda faces: runner([[picture for picture, _ in faces], [mel for _, mel in faces]]),
            chosen,
        )

    @property
    def limit(self) -> int:
        """Frames of the largest batch."""
        return self._batcher.limit

    def warm(self) -> None:
        """Capture and compile now what the first batches would wait for."""
        self._runner.warm()

    def paint(self, deadline: float | None = None) -> Lane[Face, Row]:
        """A job's lane: faces to (3, S, S) uint8 RGB on the device."""
        return self._batcher.open(deadline)


def _painting(network: Wav2Lip) -> Network:
    like = next(network.parameters())

    def run(pictures: Tensor, mel: Tensor) -> Tensor:
        x = network_input(pictures.flip(1)).to(like.dtype)  # the network sees BGR
        out: Tensor = network(mel.unsqueeze(1).to(like.dtype), x)
        return to_bytes(out).flip(1)

    return run
