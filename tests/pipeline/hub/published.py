"""Tiny networks as a hub publishes them, the manifest that pins them, and a pull."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline import hub_fetch, weights_hub
from pipeline.engines.musetalk.checkpoint import convert
from pipeline.weights_hub import HubManifest, Installed
from tests.parity.rule import weights_for
from tests.pipeline.engines.musetalk.tiny import BUILDERS, SALT
from tests.pipeline.hub.standin import Hub

REVISION = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/something"
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
PATHS = {
    "unet": "unet.pth",
    "vae": "vae.safetensors",
    "whisper": "whisper.bin",
    "taesd": "taesd.safetensors",
}


def published(network: str) -> dict[str, Tensor]:
    """The rule's weights under the names, and in the shapes, that the public files have."""
    tensors = weights_for(BUILDERS[network](), SALT)
    if network == "whisper":
        inside = {f"model.encoder.{key}": value for key, value in tensors.items()}
        return {**inside, "model.decoder.layer_norm.weight": torch.ones(4)}
    if network != "vae":
        return tensors
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = key
        for new, old in OLD.items():
            name = name.replace(f".{new}.", f".{old}.")
        out[name] = value[:, :, None, None] if name != key and value.ndim == 2 else value
    return out


def torch_archive(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def manifest_of(contents: dict[str, bytes], **changes: Any) -> HubManifest:
    files = [
        {
            "network": network,
            "path": PATHS[network],
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **changes,
        }
        for network, content in contents.items()
    ]
    source = {"repo": REPO, "revision": REVISION, "licence": "MIT", "files": files}
    source["licence_url"] = "https://example.org/licence"
    return HubManifest.model_validate({"name": "musetalk", "sources": [source]})


def pull(manifest: HubManifest, root: Path, hub: Hub, said: list[str] | None = None) -> Installed:
    return weights_hub.pull(
        manifest,
        root,
        partial(convert, builders=BUILDERS),
        said.append if said is not None else lambda _: None,
        hub=hub_fetch.Hub(hub.endpoint, 0.0),
    )
