"""Pictures on their way into the autoencoder and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engines.neural.lost import bytes_of

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny

SIDE = 256
"""Side of the picture that the networks see, px."""


def normalised(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Two (B, 3, 256, 256) of uint8 RGB, -1 to 1: with a black lower half, and whole."""
    unit = pictures.to(torch.float32) / 255.0
    masked = unit.clone()
    masked[..., SIDE // 2 :, :] = 0.0
    return (masked - 0.5) / 0.5, (unit - 0.5) / 0.5


def encode(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """The UNet's picture input: latents of the masked picture, then of the full one.

    The mode of the posterior is taken, not a sample of it: the same picture gives the same latents.

    Args:
        pictures: (B, 3, 256, 256) uint8 RGB.

    Returns:
        (B, 8, 32, 32) in the autoencoder's dtype.
    """
    x = torch.cat(normalised(pictures)).to(vae.device, vae.dtype)
    latents = vae.encode(x, return_dict=False)[0].mode() * vae.config.scaling_factor
    return torch.cat(latents.chunk(2), dim=1)


def decode(vae: AutoencoderKL | AutoencoderTiny, latents: Tensor) -> Tensor:
    """Pictures of the UNet's output latents, from either decoder.

    Args:
        vae: the full autoencoder, whose latents are scaled by 0.18215, or the tiny one, which
            takes the UNet's latents as they are (its scaling factor is 1).
        latents: (B, 4, 32, 32).

    Returns:
        (B, 3, 256, 256) uint8 RGB, rounded half to even.
    """
    x = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor
    return to_bytes(vae.decode(x, return_dict=False)[0])


def to_bytes(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) pictures of -1 to 1 as uint8 of the same shape."""
    unit = (pictures.to(torch.float32) / 2 + 0.5).clamp(0, 1)
    return bytes_of((unit * 255).round())
