"""MuseTalk's networks with random weights of the true shapes: as fast as the real ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pipeline.engines.musetalk import networks
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from tests.pipeline.engines.musetalk import tiny

GFLOP = {"musetalk": 177.8 + 622.2, "musetalk-fast": 177.8 + 35.3}
"""Per frame of 256 px, 2 per multiply-add, as the published networks do it."""


def random_networks(fast: bool, device: str, dtype: torch.dtype, shrunken: bool) -> Networks:
    """Networks on a device, ready to run.

    Args:
        fast: decode with the tiny autoencoder.
        device: where they go.
        dtype: of all but whisper.
        shrunken: some thousandths of the size, for machines without a GPU.
    """
    build = tiny.BUILDERS if shrunken else _full()
    torch.manual_seed(0)
    made = {name: _filled(make(), device) for name, make in build.items()}
    for name in ("unet", "vae", "taesd"):
        made[name].to(dtype)
    made["taesd"].decoder.layers[-1].bias.fill_(0.5)  # grey: a black face counts as none
    decoder = made["taesd"] if fast else made["vae"]
    return Networks(made["unet"], made["vae"], decoder, made["whisper"])


def random_wav2lip(device: str, shrunken: bool) -> Wav2Lip:
    """Wav2Lip for 96 px with random weights."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = Wav2Lip(VARIANTS[96], 1 / 32 if shrunken else 1.0)
    made: Wav2Lip = _filled(network, device)
    return made


def _full() -> dict[str, Any]:
    return {
        "unet": networks.build_unet,
        "vae": networks.build_vae,
        "whisper": networks.build_whisper,
        "taesd": networks.build_tiny,
    }


def _filled(network: nn.Module, device: str) -> Any:
    network.to_empty(device=device).eval().requires_grad_(False)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            # Of a variance below 0 the root is no number, and nothing that follows is one.
            scale = value.ndim == 1 and name.endswith(("weight", "running_var"))
            value.fill_(1.0) if scale else value.normal_(0.0, 0.02)
    return network
