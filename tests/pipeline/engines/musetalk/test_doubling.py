"""Doubling and convolving in one step gives the numbers of both steps."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.upsampling import Upsample2D

from pipeline.engines.musetalk.doubling import Doubling, double_at_once
from pipeline.engines.musetalk.networks import build_tiny, build_unet, build_vae, load_into
from tests.parity.rule import weights_for
from tests.pipeline.engines.musetalk.tiny import SALT, TAESD, UNET, VAE


def test_one_step_equals_doubling_and_convolving() -> None:
    torch.manual_seed(1)
    plain = Upsample2D(6, use_conv=True, out_channels=5)
    picture = torch.randn(2, 6, 7, 4)
    torch.testing.assert_close(Doubling(plain.conv)(picture), plain(picture), atol=1e-5, rtol=1e-5)


def test_whole_decoder_makes_the_same_picture() -> None:
    vae = build_vae(VAE)
    load_into(vae, weights_for(vae, SALT))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        want = vae.decode(latents).sample
        assert double_at_once(vae) == 3
        torch.testing.assert_close(vae.decode(latents).sample, want, atol=1e-4, rtol=1e-4)


def test_every_doubling_of_the_networks_is_found() -> None:
    assert double_at_once(build_unet(UNET)) == 3
    assert double_at_once(build_vae(VAE)) == 3
    assert double_at_once(build_tiny(TAESD)) == 0  # has its own layers


def test_asking_for_another_size_is_refused() -> None:
    plain = Upsample2D(2, use_conv=True)
    with pytest.raises(ValueError, match="doubled"):
        Doubling(plain.conv)(torch.zeros(1, 2, 3, 3), 7)
