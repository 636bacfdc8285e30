"""As the networks run on a GPU, on the CPU: channels innermost, doublings at once, half precision.

Only the order of sums and their rounding may differ from the networks as they are published.
"""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from pipeline.batching.row import gather
from pipeline.batching.shared import Item
from pipeline.engines.musetalk.engine import tuned
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.painter import LATENT, Painter
from tests.pipeline.engines.musetalk.tiny import WIDTH, tiny_networks

FACES = 2


def _made(networks: Networks, pictures: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 8, 32, 32) latents of the pictures, and (N, 3, 256, 256) what is painted from them."""
    painter = Painter(networks, buckets=(FACES,))
    seen: list[Item] = [(picture,) for picture in pictures]
    with painter.encode() as lane:
        lane.submit(seen)
        latents = gather([lane.take() for _ in seen])
    with painter.paint() as lane:
        lane.submit(list(zip(latents, tokens, strict=True)))
        return latents.float(), gather([lane.take() for _ in seen]).float()


@pytest.mark.parametrize(
    ("dtype", "most", "mean"), [(torch.float32, 1.0, 0.1), (torch.float16, 8.0, 0.5)]
)
def test_networks_as_a_gpu_has_them_paint_what_the_published_ones_paint(
    dtype: torch.dtype, most: float, mean: float
) -> None:
    generator = torch.Generator().manual_seed(3)
    pictures = torch.randint(0, 256, (FACES, 3, 256, 256), dtype=torch.uint8, generator=generator)
    tokens = torch.randn(FACES, 50, WIDTH, generator=generator)
    plain = tiny_networks()
    want = _made(plain, pictures, tokens)
    copy = deepcopy(plain)
    for network in (copy.unet, copy.vae, copy.decoder):
        network.to(dtype)
    found = _made(tuned(copy, innermost=True), pictures, tokens)
    assert found[0].shape == (FACES, *LATENT)
    assert float((found[0] - want[0]).abs().max()) <= 4e-3 * float(want[0].abs().max())
    apart = (found[1] - want[1]).abs()
    assert float(apart.max()) <= most
    assert float(apart.mean()) <= mean
    assert float(want[1].std()) > 5, "the picture says something"
    kernels = [kernel for kernel in copy.unet.parameters() if kernel.ndim == 4]
    innermost = [kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels]
    assert all(innermost)
