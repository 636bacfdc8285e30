"""Doubling a picture and convolving it, in one step: four ninths of the work, the same numbers.

The networks repeat every pixel twice in both directions and then convolve with 3x3. Nine products
per output pixel meet only four different inputs, so the weights that meet the same input are added
beforehand. What is left is a transposed convolution with a 4x4 kernel and stride 2: along one axis
its weights are (w2, w1 + w2, w0 + w1, w0) of the old (w0, w1, w2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor, nn

_MERGE = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""New weights by old ones, along one axis."""


class Doubling(nn.Module):
    """Stands for diffusers' `Upsample2D` with its convolution.

    Args:
        convolution: 3x3, stride 1, padding 1; its weights are taken over.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight = merged(convolution.weight)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = convolution.bias

    def forward(self, picture: Tensor, output_size: int | None = None) -> Tensor:
        """(B, C, H, W) to (B, C', 2H, 2W)."""
        if output_size is not None:
            raise ValueError(f"output_size is {output_size}, but a picture can only be doubled")
        return F.conv_transpose2d(picture, self.weight, self.bias, stride=2, padding=1)


def merged(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) weights as the (I, O, 4, 4) ones of the transposed convolution, same dtype."""
    merge = torch.tensor(_MERGE, dtype=torch.float32, device=weight.device)
    grown = torch.einsum("ku,oiuv,lv->iokl", merge, weight.detach().float(), merge)
    return grown.to(weight.dtype).contiguous()


def double_at_once(network: nn.Module) -> int:
    """Replace every doubling of a network of diffusers; returns how many there were."""
    from diffusers.models.upsampling import Upsample2D

    found = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, Upsample2D) and _is_plain(child)
    ]
    for parent, name, child in found:
        setattr(parent, name, Doubling(child.conv))
    return len(found)


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer does what `Doubling` stands for, and nothing else."""
    convolution = getattr(layer, "conv", None)
    return (
        isinstance(convolution, nn.Conv2d)
        and convolution.kernel_size == (3, 3)
        and convolution.stride == (1, 1)
        and convolution.padding == (1, 1)
        and getattr(layer, "norm", None) is None
        and bool(getattr(layer, "use_conv", False))
        and not bool(getattr(layer, "use_conv_transpose", False))
    )
