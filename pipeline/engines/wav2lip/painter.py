"""The device side of Wav2Lip: one network, from faces and mel to faces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.batching.runner import Column, Network
from pipeline.engines.neural.avatar import Layout
from pipeline.engines.neural.painter import Painter as NeuralPainter
from pipeline.engines.wav2lip.mel import BANDS, WINDOW
from pipeline.engines.wav2lip.network import Wav2Lip
from pipeline.engines.wav2lip.picture import network_input, to_bytes


class Painter(NeuralPainter):
    """Paints a face of (3, S, S) uint8 RGB by its (80, 16) window of the mel."""

    def __init__(
        self,
        network: Wav2Lip,
        device: str,
        threads: int = 1,
        buckets: Sequence[int] | None = None,
        compiled: bool = True,
    ) -> None:
        layout = Layout("pictures", (3, network.side, network.side), torch.uint8)
        super().__init__("wav2lip", layout, device, threads, buckets, compiled)
        mel = Column((BANDS, WINDOW), torch.float32)
        self._painting = self._shared(
            "paints", _painting(network), [Column(layout.shape, layout.dtype), mel]
        )


def _painting(network: Wav2Lip) -> Network:
    like = next(network.parameters())

    def run(pictures: Tensor, mel: Tensor) -> Tensor:
        x = network_input(pictures.flip(1)).to(like.dtype)  # the network sees BGR
        out: Tensor = network(mel.unsqueeze(1).to(like.dtype), x)
        return to_bytes(out).flip(1)

    return run
