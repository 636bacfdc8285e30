"""Checkpoints from elsewhere: read without executing anything, and compared name by name."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.errors import WeightsMissing
from schemas.codes import Stage

_SHOWN = 3
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80\x02\x8a\n"
"""How torch archives begin since version 1.6, and before; only the first can be mapped."""


_UNREADABLE = (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError)
_ASKED = re.compile(r"GLOBAL (\S+)")
"""What a pickle wants to call, in torch's words."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a file by name, of any shape, without executing anything that is in it.

    Raises:
        WeightsMissing: neither safetensors nor a torch archive of tensors.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic not in (_ZIP, _PICKLE):
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=magic == _ZIP)
    except _UNREADABLE as error:
        raise WeightsMissing(
            f"{path.name} is no readable checkpoint: {_reason(error)}", stage=Stage.GENERATE
        ) from error
    nested = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(nested, dict) or not all(isinstance(v, Tensor) for v in nested.values()):
        raise WeightsMissing(f"{path.name} does not hold tensors by name", stage=Stage.GENERATE)
    return {str(key).removeprefix("module."): value for key, value in nested.items()}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    asked = _ASKED.search(text)
    if asked:  # torch's own advice is to read it with the very switch that runs such code
        return (
            f"reading it would call {asked[1]}, and nothing in it is executed; save its tensors"
            " alone, by torch.save(model.state_dict(), PATH)"
        )
    return text[:200] or f"it breaks off ({type(error).__name__})"


def check_names(network: str, tensors: Mapping[str, Tensor], shape: nn.Module) -> None:
    """Refuse tensors that do not fit a network, by name and shape.

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
