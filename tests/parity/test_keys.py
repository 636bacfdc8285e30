"""The networks have exactly the tensors of the published checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pipeline.engines.musetalk.networks import build_unet
from tests.parity.test_rule import BUILDERS

pytestmark = pytest.mark.parity

LISTS: dict[str, Callable[[], nn.Module]] = {
    "musetalk_unet": build_unet,
    "sd_vae": BUILDERS["sd_vae"],
    "whisper_tiny_encoder": BUILDERS["whisper_encoder"],
    "taesd": BUILDERS["taesd"],
    "wav2lip": BUILDERS["wav2lip"],
    "syncnet_v2": BUILDERS["syncnet_v2"],
}


def _shape(entry: list[Any]) -> list[int]:
    """A shape, or a shape with its dtype."""
    return list(entry[0]) if entry and isinstance(entry[0], list) else entry


@pytest.mark.parametrize("name", LISTS)
def test_names_and_shapes_are_those_of_the_published_checkpoint(spec: Path, name: str) -> None:
    listed = json.loads((spec / f"{name}_state_dict.json").read_text())["state_dict"]
    ours = {key: list(value.shape) for key, value in LISTS[name]().state_dict().items()}
    assert ours == {key: _shape(entry) for key, entry in listed.items()}


def test_unet_configuration_is_the_published_one(spec: Path) -> None:
    published = json.loads((spec / "musetalk_unet_config.json").read_text())
    ours = build_unet().config
    for key, value in published.items():
        if not key.startswith("_"):
            assert json.loads(json.dumps(ours[key])) == value, key
