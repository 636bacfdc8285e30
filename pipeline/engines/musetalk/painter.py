"""The device side of MuseTalk: pictures to latents, latents and tokens to pictures, in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.engines.musetalk.networks import Networks, paint
from pipeline.engines.musetalk.picture import decode, encode
from pipeline.engines.musetalk.windows import with_positions

BATCH = 8


class Painter:
    """Runs the networks for any number of jobs, one batch at a time.

    Args:
        networks: with weights, on their device.
        batch: frames per batch at the start. When the device has no memory for a batch it is
            halved for good, and nothing fails before a single frame does not fit.
    """

    def __init__(self, networks: Networks, batch: int = BATCH) -> None:
        self.networks = networks
        self.batch = batch
        self._device = threading.Lock()

    @property
    def dtype(self) -> torch.dtype:
        """Of latents."""
        dtype: torch.dtype = self.networks.unet.dtype
        return dtype

    def latents(self, pictures: Tensor) -> Tensor:
        """The UNet's picture input.

        Args:
            pictures: (B, 3, 256, 256) uint8 RGB.

        Returns:
            (B, 8, 32, 32) on the host.
        """
        return self._batched(lambda x: encode(self.networks.vae, x).to("cpu", self.dtype), pictures)

    def pictures(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """Painted faces.

        Args:
            latents: (B, 8, 32, 32).
            tokens: (B, 50, W) without positions.

        Returns:
            (B, 3, 256, 256) uint8 RGB on the device.
        """
        heard = with_positions(tokens)

        def run(index: Tensor) -> Tensor:
            out = paint(self.networks.unet, latents[index], heard[index.to(heard.device)])
            return decode(self.networks.decoder, out)

        return self._batched(run, torch.arange(len(latents)))

    def _batched(self, run: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
        done: list[Tensor] = []
        start = 0
        with self._device:
            while start < len(items):
                try:
                    done.append(run(items[start : start + self.batch]))
                except torch.OutOfMemoryError:
                    if self.batch == 1:
                        raise
                    self.batch //= 2
                    torch.cuda.empty_cache()
                    continue
                start += self.batch
        return torch.cat(done)
