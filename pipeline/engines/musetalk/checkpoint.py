"""From published checkpoints to our files: current tensor names, safetensors, nothing executed.

Two published habits are handled: the autoencoder's attention layers carry their names of 2022
(`query`, `key`, `value`, `proj_attn`), and whisper's encoder lies inside a whole model under
`model.encoder.`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from pipeline.checkpoint import check_names, read_checkpoint
from pipeline.engines.musetalk.networks import build_tiny, build_unet, build_vae, build_whisper
from pipeline.tensor_file import write_tensors

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


def convert(
    network: str, source: Path, target: Path, builders: Mapping[str, Build] = BUILDERS
) -> None:
    """Write one network's safetensors file.

    Args:
        source: the published file, safetensors or a torch archive.
        builders: makes the network whose names and shapes must be met.

    Raises:
        WeightsMissing: the file is no checkpoint of this network.
        OSError: the target cannot be written, such as on a full disk.
    """
    shape = builders[network]()
    tensors = current_names(network, read_checkpoint(source), shape)
    check_names(network, tensors, shape)
    write_tensors(tensors, target)


def current_names(
    network: str, tensors: Mapping[str, Tensor], shape: nn.Module
) -> dict[str, Tensor]:
    """The tensors under the names of today's classes.

    Args:
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
