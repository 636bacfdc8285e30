"""From published checkpoints to our files: current tensor names, safetensors, nothing executed.

Two published habits are handled: the autoencoder's attention layers carry their names of 2022
(`query`, `key`, `value`, `proj_attn`), and whisper's encoder lies inside a whole model under
`model.encoder.`.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.engines.musetalk.networks import build_tiny, build_unet, build_vae, build_whisper
from pipeline.errors import WeightsMissing
from schemas.codes import Stage

Build = Callable[[], nn.Module]

BUILDERS: dict[str, Build] = {
    "unet": build_unet,
    "vae": build_vae,
    "whisper": build_whisper,
    "taesd": build_tiny,
}
"""The networks by the names that the manifest gives them."""

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_NAME = re.compile(r"(\.attentions\.\d+\.)(query|key|value|proj_attn)(\.(?:weight|bias))$")
_SHOWN = 3
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02\x8a\n"
"""How torch archives begin since version 1.6, and before; only the first can be mapped."""


def convert(
    network: str, source: Path, target: Path, builders: Mapping[str, Build] = BUILDERS
) -> None:
    """Write one network's safetensors file.

    Args:
        network: its name in the manifest.
        source: the published file, safetensors or a torch archive.
        target: the file to write.
        builders: makes the network whose names and shapes must be met.

    Raises:
        WeightsMissing: the file is no checkpoint of this network.
    """
    shape = builders[network]()
    tensors = current_names(network, read_checkpoint(source), shape)
    check_names(network, tensors, shape)
    save_file({key: value.contiguous() for key, value in tensors.items()}, target)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a file, without executing anything that is in it.

    Raises:
        WeightsMissing: neither safetensors nor a torch archive of tensors.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic not in (_ZIP, _PICKLE):
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=magic == _ZIP)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsMissing(
            f"{path.name} is no readable checkpoint: {reason}", stage=Stage.GENERATE
        ) from error
    nested = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(nested, dict) or not all(isinstance(v, Tensor) for v in nested.values()):
        raise WeightsMissing(f"{path.name} does not hold tensors by name", stage=Stage.GENERATE)
    return {str(key).removeprefix("module."): value for key, value in nested.items()}


def current_names(
    network: str, tensors: Mapping[str, Tensor], shape: nn.Module
) -> dict[str, Tensor]:
    """The tensors under the names of today's classes.

    Args:
        network: its name in the manifest.
        tensors: as published.
        shape: the network, for the shapes of layers that were once 1 x 1 convolutions.
    """
    if network == "whisper":
        return _encoder_only(tensors)
    if network != "vae":
        return dict(tensors)
    wanted = shape.state_dict()
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _OLD_NAME.sub(lambda m: f"{m[1]}{_OLD_ATTENTION[m[2]]}{m[3]}", key)
        old_convolution = name in wanted and value.ndim == 4 and wanted[name].ndim == 2
        out[name] = value[:, :, 0, 0] if old_convolution else value
    return out


def check_names(network: str, tensors: Mapping[str, Tensor], shape: nn.Module) -> None:
    """Refuse what does not fit, by name.

    Raises:
        WeightsMissing: a tensor is missing or unknown, or a shape differs.
    """
    wanted = {key: tuple(value.shape) for key, value in shape.state_dict().items()}
    got = {key: tuple(value.shape) for key, value in tensors.items()}
    if wanted == got:
        return
    missing, unknown = sorted(wanted.keys() - got), sorted(got.keys() - wanted)
    wrong = sorted(key for key in wanted.keys() & got if wanted[key] != got[key])
    facts = [
        f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])})"
        for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", wrong))
        if keys
    ]
    raise WeightsMissing(
        f"this is no checkpoint of {network}: tensors {'; '.join(facts)}", stage=Stage.GENERATE
    )


def _encoder_only(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in ("model.encoder.", "encoder."):
        inside = {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        if inside:
            return inside
    return dict(tensors)
