"""Wav2Lip's pictures: into the network, out of it, and back into the frame."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engines.neural.lost import bytes_of


def network_input(faces: Tensor) -> Tensor:
    """(B, 6, S, S) float32, 0 to 1, of (B, 3, S, S) uint8 BGR: lower half black, then the face."""
    masked = faces.clone()
    masked[..., faces.shape[-2] // 2 :, :] = 0
    return torch.cat([masked, faces], dim=1).to(torch.float32) / 255.0


def to_bytes(painted: Tensor) -> Tensor:
    """(B, 3, S, S) output of 0 to 1 as uint8, cut off and not rounded, as the original does it."""
    return bytes_of(painted.to(torch.float32) * 255.0)
