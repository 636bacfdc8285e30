"""MuseTalk's autoencoders: the full one at full size, and the tiny one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engines.musetalk.networks import build_tiny, build_vae, load_into
from pipeline.engines.musetalk.picture import decode, encode, normalised
from tests.parity.compare import Array, close, equal
from tests.parity.conftest import Npz
from tests.parity.rule import dim, weights_for

pytestmark = pytest.mark.parity

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def vectors(npz: Npz) -> dict[str, Array]:
    return npz("musetalk_vae")


@pytest.fixture(scope="module")
def vae(salt: str) -> Any:
    network = build_vae()
    load_into(network, weights_for(network, salt))
    return network


def _rgb(array: Array) -> Tensor:
    return torch.from_numpy(array[..., ::-1].copy()).permute(2, 0, 1).unsqueeze(0)


@slow
@torch.inference_mode()
def test_encoder_matches(vectors: dict[str, Array], vae: Any) -> None:
    picture = _rgb(vectors["crop_u8_bgr"])
    masked, full = normalised(picture)
    for name, x in (("masked", masked), ("ref", full)):
        posterior = vae.encode(x).latent_dist
        close(f"vae mean_{name}", posterior.mode(), vectors[f"mean_{name}"], 1e-5)
        close(f"vae logvar_{name}", posterior.logvar, vectors[f"logvar_{name}"], 1e-5)


@slow
def test_unet_input_is_masked_then_full(vectors: dict[str, Array], vae: Any) -> None:
    got = encode(vae, _rgb(vectors["crop_u8_bgr"]))
    close("vae unet_latents", got, vectors["unet_latents"], 1e-5)


@slow
@torch.inference_mode()
def test_decoder_matches(vectors: dict[str, Array], vae: Any) -> None:
    latents = torch.from_numpy(vectors["dec_latents"])
    raw = vae.decode(latents / vae.config.scaling_factor).sample
    close("vae dec_raw_stride4", raw[..., ::4, ::4], vectors["dec_raw_stride4"], 1e-5)
    patch = raw[..., 96:160, 96:160]
    close("vae dec_raw_patch", patch, vectors["dec_raw_patch_96_160"], 1e-5)
    close("vae dec_stats", _stats(raw), vectors["dec_stats"], 1e-5)
    picture = decode(vae, latents)[..., 96:160, 96:160].flip(1).permute(0, 2, 3, 1)
    want = vectors["dec_u8_bgr_patch_96_160"]
    equal("vae dec_u8_bgr_patch", picture, want, apart=1, share=1e-3)


@slow
@torch.inference_mode()
def test_dim_probe_shows_the_right_epsilon(vectors: dict[str, Array], salt: str) -> None:
    network = build_vae()
    weights = weights_for(network, salt)
    dim(weights)
    load_into(network, weights)
    full = normalised(_rgb(vectors["crop_u8_bgr"]))[1]
    moments = network.quant_conv(network.encoder(full))
    close("vae dim_moments_ref", moments, vectors["dim_moments_ref"], 1e-4)
    latents = torch.from_numpy(vectors["dec_latents"]) / network.config.scaling_factor
    raw = network.decode(latents).sample
    close("vae dim_dec_raw", raw[..., ::8, ::8], vectors["dim_dec_raw_stride8"], 1e-4)


@torch.inference_mode()
def test_tiny_autoencoder_matches(npz: Npz, salt: str) -> None:
    vectors = npz("taesd")
    tiny = build_tiny()
    load_into(tiny, weights_for(tiny, salt))
    raw = tiny.decode(torch.from_numpy(vectors["latents"])).sample
    close("taesd out_stride4", raw[..., ::4, ::4], vectors["out_stride4"], 1e-5)
    close("taesd out_patch", raw[..., 96:160, 96:160], vectors["out_patch_96_160"], 1e-5)
    close("taesd out_stats", _stats(raw), vectors["out_stats"], 1e-5)
    encoded = tiny.encode(torch.from_numpy(vectors["enc_in"])).latents
    close("taesd enc_out", encoded, vectors["enc_out"], 1e-5)


def _stats(raw: Tensor) -> Array:
    exact = raw.double()
    return np.array([exact.sum(), exact.square().sum(), exact.min(), exact.max()])
