"""The weight rule itself, before anything that is built on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.engines.musetalk.networks import build_tiny, build_vae, build_whisper
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.syncnet.network import SyncNet
from tests.parity.facts import check_facts, facts_of
from tests.parity.rule import weights_for

pytestmark = pytest.mark.parity


def _wav2lip() -> nn.Module:
    with torch.device("meta"):
        return Wav2Lip(VARIANTS[96])


def _syncnet() -> nn.Module:
    with torch.device("meta"):
        return SyncNet()


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "sd_vae": build_vae,
    "whisper_encoder": build_whisper,
    "taesd": build_tiny,
    "wav2lip": _wav2lip,
    "syncnet_v2": _syncnet,
}
"""The UNet's 850 million weights are checked where they are made, in test_musetalk_unet."""


@pytest.mark.parametrize("name", BUILDERS)
def test_rule_makes_the_weights_that_the_vectors_were_made_with(
    golden: Path, salt: str, name: str
) -> None:
    path = golden / f"weights_{name}.json"
    if not path.is_file():
        pytest.skip(f"this set of golden vectors has no {path.name}")
    check_facts(facts_of(weights_for(BUILDERS[name](), salt)), json.loads(path.read_text()))


def test_another_salt_makes_other_weights(salt: str) -> None:
    network = _syncnet()
    ours, other = weights_for(network, salt), weights_for(network, salt + "x")
    assert not torch.equal(ours["netfcaud.0.weight"], other["netfcaud.0.weight"])
