"""The weight rule: deterministic weights for any network, from a salt and the tensors' names."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def tensor_for(key: str, shape: tuple[int, ...], salt: str) -> Tensor:
    """The rule's tensor of one name and shape."""
    generator = torch.Generator("cpu").manual_seed(zlib.crc32((salt + key).encode()))
    leaf, n = key.rsplit(".", 1)[-1], math.prod(shape)
    if leaf == "running_mean":
        return 0.1 * torch.randn(shape, generator=generator)
    if leaf == "running_var":
        return 0.5 + torch.rand(shape, generator=generator)
    if len(shape) >= 2:
        return torch.randn(shape, generator=generator).mul_(math.sqrt(shape[0] / n))
    if leaf == "weight":
        return 1 + 0.1 * torch.randn(shape, generator=generator)
    return 0.02 * torch.randn(shape, generator=generator)


def weights_for(network: nn.Module, salt: str) -> dict[str, Tensor]:
    """The rule's weights of a whole network; whole numbers stay what they are, or 0 on meta."""
    return {
        key: tensor_for(key, tuple(value.shape), salt)
        if value.is_floating_point()
        else torch.zeros(value.shape, dtype=value.dtype)
        for key, value in network.state_dict().items()
    }


def dim(weights: Mapping[str, Tensor]) -> None:
    """The dim probe, in place: variances come near the norm layers' epsilon."""
    for key, value in weights.items():
        if value.is_floating_point() and (value.ndim >= 2 or key.endswith(".bias")):
            value.mul_(0.01)
