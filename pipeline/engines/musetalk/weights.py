"""MuseTalk's weights: pull, verify, load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline import weights_hub
from pipeline.checkpoint import check_names
from pipeline.engines.musetalk.checkpoint import BUILDERS, Build, convert
from pipeline.engines.musetalk.networks import Networks, load_into
from pipeline.errors import WeightsMissing, in_one_line
from pipeline.hub_fetch import OnBytes
from pipeline.pulling import Announce
from pipeline.weights_hub import Finding, HubManifest, Installed
from schemas.codes import Stage
from schemas.render import WeightFacts

NETWORKS = ["unet", "vae", "whisper"]
FAST_NETWORKS = [*NETWORKS, "taesd"]
"""`musetalk-fast` decodes with the tiny autoencoder and still encodes with the full one."""


def manifest() -> HubManifest:
    """What is pinned in the repository."""
    return weights_hub.read_manifest(Path(__file__).with_name("weights.json"))


def pull(root: Path, announce: Announce, on_bytes: OnBytes = lambda _here, _all: None) -> Installed:
    """`face2face weights pull musetalk`: 3.9 GB to fetch, 3.8 GB to keep.

    Raises:
        WeightsMissing: the hub cannot be reached, or a file is not the pinned one.
        ScratchFull: the disk has no room.
    """
    return weights_hub.pull(manifest(), root, convert, announce, on_bytes=on_bytes)


def verify(root: Path) -> list[Finding]:
    """`face2face weights verify musetalk`: empty when every byte is what was pulled."""
    return weights_hub.verify(manifest(), root)


def facts(fast: bool) -> list[WeightFacts]:
    """What a render reports."""
    return weights_hub.weight_facts(manifest(), FAST_NETWORKS if fast else NETWORKS)


def load(
    root: Path,
    device: str,
    dtype: torch.dtype,
    fast: bool = False,
    *,
    pinned: HubManifest | None = None,
    builders: Mapping[str, Build] = BUILDERS,
) -> Networks:
    """The networks with their weights, from this machine's disk alone.

    Args:
        dtype: of the UNet and the autoencoders; whisper stays in float32.
        fast: decode with the tiny autoencoder.
        pinned: another manifest than the repository's.
        builders: networks of other shapes.

    Raises:
        WeightsMissing: they are not here, or not what they should be; names the command.
    """
    files = weights_hub.installed(pinned or manifest(), root, FAST_NETWORKS if fast else NETWORKS)
    loaded: dict[str, nn.Module] = {}
    for name, path in files.items():
        network = builders[name]()
        tensors = _tensors(path)
        check_names(name, tensors, network)
        load_into(network, tensors)
        loaded[name] = network.to(device, torch.float32 if name == "whisper" else dtype)
    vae = loaded["vae"]
    decoder = loaded["taesd"] if fast else vae
    return Networks(unet=loaded["unet"], vae=vae, decoder=decoder, whisper=loaded["whisper"])


def _tensors(path: Path) -> dict[str, Tensor]:
    """Of a file of the right size, which says nothing of what is in it."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsMissing(
            f"weights of musetalk: {path} cannot be read ({in_one_line(error)});"
            " run `face2face weights pull musetalk`",
            stage=Stage.GENERATE,
            engine="musetalk",
        ) from error
