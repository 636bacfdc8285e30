"""Networks have the published tensors, and their libraries are imported late."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
import torch
from torch import nn

from pipeline.engines.musetalk import networks
from pipeline.engines.musetalk.checkpoint import BUILDERS
from pipeline.engines.musetalk.picture import decode, encode
from tests.pipeline.engines.musetalk.tiny import WIDTH, tiny_networks

# Tensors, parameters, and SHA-256 over the sorted lines "name shape" of the published checkpoints.
PUBLISHED = {
    "unet": (686, 849_947_844),
    "vae": (248, 83_653_863),
    "whisper": (67, 8_208_384),
    "taesd": (134, 2_445_063),
}

DIGESTS = {
    "unet": "a6d22351eda5c3658c28870b7c74b4535e92bae50833c0aaaaa04e253f92fdf1",
    "vae": "600696bc94ffc80f250f7a2b836e289ff191e5f194ce89f9aa389cfc8ef4a0ab",
    "whisper": "dc1d7d0ed75c02f3e74fa39c46827ad7daab2b5f26536f7a76b07073b973d253",
    "taesd": "30c1cc792be132f4dbb61391ad6254ae0988b0ab7dea8d08c5cef36cd913edeb",
}


def _digest(network: nn.Module) -> str:
    lines = sorted(f"{key} {tuple(value.shape)}" for key, value in network.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_have_the_published_tensors(name: str) -> None:
    network = BUILDERS[name]()
    tensors, parameters = PUBLISHED[name]
    assert len(network.state_dict()) == tensors
    assert sum(value.numel() for value in network.state_dict().values()) == parameters
    assert _digest(network) == DIGESTS[name]


def test_shrunken_chain_runs_through() -> None:
    made = tiny_networks()
    pictures = torch.randint(0, 256, (2, 3, 256, 256), dtype=torch.uint8)
    latents = encode(made.vae, pictures)
    assert latents.shape == (2, 8, 32, 32)
    assert torch.equal(latents, encode(made.vae, pictures))
    painted = networks.paint(made.unet, latents, torch.randn(2, 50, WIDTH))
    assert painted.shape == (2, 4, 32, 32)
    for fast in (False, True):
        picture = decode(tiny_networks(fast).decoder, painted)
        assert picture.shape == (2, 3, 256, 256)
        assert picture.dtype is torch.uint8


def test_importing_the_engines_does_not_import_their_libraries() -> None:
    script = (
        "import sys, pkgutil, importlib, pipeline.engines as e\n"
        "for m in pkgutil.walk_packages(e.__path__, e.__name__ + '.'):\n"
        "    importlib.import_module(m.name)\n"
        "import pipeline.weights_hub\n"
        "heavy = {'diffusers', 'transformers', 'huggingface_hub', 'soxr'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
