"""Low frequencies of a lent mouth are brought to those of the frame that it is put on."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.viseme.canvas import NODES, Canvas
from pipeline.engines.viseme.patch import Patch

SIGMA = 0.16
"""io."""
_FLOOR = 1e-3


def match(canvas: Canvas, lent: Patch, own: Patch, weight: Tensor) -> Patch:
    """The lent picture in the light of the frame's own.

    Args:
        canvas: the region.
        lent: float planes.
        own: float planes.
        weight: (B, NODES, NODES), 1 where both show the same skin.
    """
    shift = F.interpolate(own.chroma - lent.chroma, (NODES, NODES), mode="area")
    light = F.interpolate(own.luma - lent.luma, (NODES, NODES), mode="area")
    far = _blur(canvas, torch.cat([light, shift], dim=1), weight.unsqueeze(1))
    coarse = far.permute(0, 2, 3, 1)
    luma = canvas.luma.refine(coarse[..., :1]).permute(0, 3, 1, 2)
    chroma = canvas.chroma.refine(coarse[..., 1:]).permute(0, 3, 1, 2)
    return Patch(lent.luma + luma, lent.chroma + chroma)


def _blur(canvas: Canvas, coarse: Tensor, weight: Tensor) -> Tensor:
    """Normalised convolution: what has no weight does not count."""
    down = _kernel(canvas.height, canvas.io, weight)
    across = _kernel(canvas.width, canvas.io, weight)
    total = down @ (coarse * weight) @ across.T
    return total / ((down @ weight @ across.T) + _FLOOR)


def _kernel(size: int, io: float, like: Tensor) -> Tensor:
    at = torch.arange(NODES, device=like.device, dtype=like.dtype) * ((size - 1) / (NODES - 1))
    kernel = torch.exp(-0.5 * ((at[:, None] - at[None]) / (SIGMA * io)) ** 2)
    return kernel / kernel.sum(1, keepdim=True)
