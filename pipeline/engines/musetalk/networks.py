"""The networks of MuseTalk 1.5 and their shapes.

They are diffusers' and transformers' own classes under their public configurations, so that the
published checkpoints load unchanged. Both libraries are imported when a network is first built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

Config = Mapping[str, Any]

UNET: Config = {
    "sample_size": 64,
    "in_channels": 8,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 384,
    "attention_head_dim": 8,  # of this class of checkpoints: the number of heads
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "act_fn": "silu",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "center_input_sample": False,
}
"""TMElyralab/MuseTalk, musetalkV15/musetalk.json."""

VAE: Config = {
    "sample_size": 256,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "act_fn": "silu",
}
"""stabilityai/sd-vae-ft-mse, config.json."""

WHISPER: Config = {
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "num_mel_bins": 80,
    "max_source_positions": 1500,
}
"""openai/whisper-tiny, config.json, what the encoder needs of it."""

TAESD: Config = {}
"""madebyollin/taesd: the defaults of its class."""


def build_unet(config: Config = UNET) -> UNet2DConditionModel:
    """The UNet without weights, on the meta device."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def build_vae(config: Config = VAE) -> AutoencoderKL:
    """The full autoencoder without weights, on the meta device."""
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        return AutoencoderKL(**config)


def build_tiny(config: Config = TAESD) -> AutoencoderTiny:
    """The tiny autoencoder without weights, on the meta device."""
    from diffusers import AutoencoderTiny

    with torch.device("meta"):
        return AutoencoderTiny(**config)


def build_whisper(config: Config = WHISPER) -> WhisperEncoder:
    """whisper's encoder without weights, on the meta device."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    with torch.device("meta"):
        return WhisperEncoder(WhisperConfig(**config))


def load_into(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network on the device `meta` its weights, all and no others, without a second copy.

    Raises:
        RuntimeError: a name is missing or unknown, or a shape differs; the message lists them.
    """
    network.load_state_dict(dict(weights), strict=True, assign=True)
    network.requires_grad_(False).eval()


def paint(unet: UNet2DConditionModel, latents: Tensor, tokens: Tensor) -> Tensor:
    """One pass of the UNet at time step 0.

    Args:
        latents: (B, 8, 32, 32) from `picture.encode`.
        tokens: (B, 50, 384), with positions.

    Returns:
        (B, 4, 32, 32) latents of the painted picture.
    """
    like = {"device": unet.device, "dtype": unet.dtype}
    step = torch.zeros((), dtype=torch.int64, device=unet.device)
    heard = tokens.to(**like)
    out: Tensor = unet(latents.to(**like), step, encoder_hidden_states=heard, return_dict=False)[0]
    return out


@dataclass(frozen=True, slots=True)
class Networks:
    """What one device needs to paint."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    decoder: AutoencoderKL | AutoencoderTiny
    """The same object as `vae`, or the tiny autoencoder."""
    whisper: WhisperEncoder
