"""The device side of MuseTalk: pictures to latents, latents and tokens to pictures.

One painter serves every job on its device. Its networks are fed in batches that are filled from all
running jobs (`pipeline.batching`); a job opens a lane to each that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.batching.batcher import Lane
from pipeline.batching.row import Row, gather
from pipeline.batching.runner import Column, Network
from pipeline.batching.shared import Item
from pipeline.engines.musetalk import hearing
from pipeline.engines.musetalk.networks import Networks, paint
from pipeline.engines.musetalk.picture import SIDE, decode, encode
from pipeline.engines.musetalk.windows import TOKENS, positional_table
from pipeline.engines.neural.avatar import Layout
from pipeline.engines.neural.painter import Painter as NeuralPainter

LATENT = (8, SIDE // 8, SIDE // 8)
"""Of one frame: the masked picture's latents, then the full one's."""


class Painter(NeuralPainter):
    """Paints a face of (8, 32, 32) latents by its (50, W) tokens without positions."""

    def __init__(
        self,
        networks: Networks,
        device: str = "cpu",
        threads: int = 1,
        buckets: Sequence[int] | None = None,
        compiled: bool = True,
        name: str = "musetalk",
    ) -> None:
        self.networks = networks
        self.dtype: torch.dtype = networks.unet.dtype
        """Of latents."""
        layout = Layout("latents", LATENT, self.dtype)
        super().__init__(name, layout, device, threads, buckets, compiled)
        width = int(networks.unet.config.cross_attention_dim)
        self._painting = self._shared(
            "paints",
            _painting(networks, width, device),
            [Column(LATENT, self.dtype), Column((TOKENS, width), torch.float32)],
        )
        self._encoding = self._shared(
            "encodes", _encoding(networks), [Column((3, SIDE, SIDE), torch.uint8)]
        )
        self._hearing = self._shared(
            "hears", _hearing(networks), [Column(_mel_shape(networks), torch.float32)], alone=True
        )

    def encode(self, deadline: float | None = None) -> Lane[Item, Row]:
        """A job's lane: (3, 256, 256) uint8 RGB to (8, 32, 32) latents, as the UNet takes them."""
        return self._encoding.open(deadline)

    def listen(self, mel: Tensor) -> Tensor:
        """States of whisper's encoder of one piece: (1, 80, 3000) to (1500, 5, 384) on the device.

        By one thread for all jobs: CUDA's matrix library keeps 32 MB for each pair of a thread and
        a stream that ever asked it.
        """
        with self._hearing.open() as lane:
            lane.submit([(mel[0],)])
            return gather([lane.take()])[0]


def _painting(networks: Networks, width: int, device: str) -> Network:
    places = positional_table(TOKENS, width).to(device)

    def run(latents: Tensor, tokens: Tensor) -> Tensor:
        return decode(networks.decoder, paint(networks.unet, latents, tokens + places))

    return run


def _mel_shape(networks: Networks) -> tuple[int, int]:
    """Of one piece of speech, bands and steps: whisper's first layers halve those."""
    config = networks.whisper.config
    return int(config.num_mel_bins), 2 * int(config.max_source_positions)


def _hearing(networks: Networks) -> Network:
    def run(mel: Tensor) -> Tensor:
        return hearing.encoder_states(networks.whisper, mel).unsqueeze(0)

    return run


def _encoding(networks: Networks) -> Network:
    def run(pictures: Tensor) -> Tensor:
        return encode(networks.vae, pictures)

    return run
