"""MuseTalk's UNet at full size, and the whole chain to a picture.

The 850 million weights are made once; everything that needs them is computed in one fixture, the
dim probe last, because it changes them in place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.engines.musetalk.networks import build_unet, build_vae, load_into, paint
from pipeline.engines.musetalk.picture import decode
from tests.parity.compare import Array, close, equal, rel_l2, thinned
from tests.parity.conftest import Npz
from tests.parity.facts import TensorFacts, check_facts, facts_of
from tests.parity.rule import dim, weights_for

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Run:
    """What the UNet gave."""

    facts: dict[str, TensorFacts]
    out: Tensor
    taps: dict[str, Tensor]
    swapped: Tensor
    dim: Tensor


@pytest.fixture(scope="module")
def vectors(npz: Npz) -> dict[str, Array]:
    return npz("musetalk_unet")


@pytest.fixture(scope="module")
def run(vectors: dict[str, Array], salt: str) -> Run:
    latents, tokens = (torch.from_numpy(vectors[key]) for key in ("latents", "tokens"))
    network = build_unet()
    weights = weights_for(network, salt)
    facts = facts_of(weights)
    load_into(network, weights)
    taps: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(key.removeprefix("tap_")).register_forward_hook(
            lambda _, __, out, key=key: taps.update(
                {key: out[0] if isinstance(out, tuple) else out}
            )
        )
        for key in vectors
        if key.startswith("tap_")
    ]
    out = paint(network, latents, tokens)
    for hook in hooks:
        hook.remove()
    swapped = paint(network, latents[:1], tokens[1:2])
    dim(weights)
    return Run(facts, out, taps, swapped, paint(network, latents[:1], tokens[:1]))


def test_rule_makes_the_weights_that_the_vectors_were_made_with(run: Run, golden: Path) -> None:
    check_facts(run.facts, json.loads((golden / "weights_musetalk_unet.json").read_text()))


def test_unet_matches_tap_by_tap(run: Run, vectors: dict[str, Array]) -> None:
    assert run.taps
    for key, tap in run.taps.items():
        want = vectors[key]
        close(f"unet {key}", thinned(tap, want.shape, 20), want, 3e-5)
    close("unet out", run.out, vectors["out"], 3e-5)


def test_unet_hears_the_tokens_it_is_given(run: Run, vectors: dict[str, Array]) -> None:
    close("unet out_tokens_swapped_0", run.swapped, vectors["out_tokens_swapped_0"], 3e-5)
    assert rel_l2(run.swapped, vectors["out"][:1]) > 1e-2


def test_dim_probe_shows_the_right_epsilon(run: Run, vectors: dict[str, Array]) -> None:
    close("unet dim_out_0", run.dim, vectors["dim_out_0"], 1e-4)


def test_whole_chain_gives_the_originals_picture(
    run: Run, vectors: dict[str, Array], salt: str
) -> None:
    vae = build_vae()
    load_into(vae, weights_for(vae, salt))
    want = vectors["chain_u8_bgr"]
    got = decode(vae, run.out[: len(want)]).flip(1).permute(0, 2, 3, 1)
    equal("unet chain_u8_bgr", got, want, apart=1, share=1e-3)
