"""Low frequencies of a lent mouth are brought to those of the frame that it is put on."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.viseme.canvas import NODES, Area, Canvas
from pipeline.engines.viseme.patch import Patch

SIGMA = 0.16
"""io."""
_FLOOR = 1e-3


def match(canvas: Canvas, area: Area, lent: Patch, own: Patch, weight: Tensor) -> Patch:
    """The lent picture in the light of the frame's own.

    Args:
        weight: (B, NODES, NODES), 1 where both show the same skin.
    """
    shift = F.interpolate(own.chroma - lent.chroma, (NODES, NODES), mode="area")
    light = F.interpolate(own.luma - lent.luma, (NODES, NODES), mode="area")
    far = _blur(canvas, area, torch.cat([light, shift], dim=1), weight.unsqueeze(1))
    return Patch(
        lent.luma + area.luma.refine_plane(far[:, :1]),
        lent.chroma + area.chroma.refine_plane(far[:, 1:]),
    )


def _blur(canvas: Canvas, area: Area, coarse: Tensor, weight: Tensor) -> Tensor:
    """Normalised convolution: what has no weight does not count."""
    down = _kernel(area.box.height, canvas.io, weight)
    across = _kernel(area.box.width, canvas.io, weight)
    total = down @ (coarse * weight) @ across.T
    return total / ((down @ weight @ across.T) + _FLOOR)


def _kernel(size: int, io: float, like: Tensor) -> Tensor:
    at = torch.arange(NODES, device=like.device, dtype=like.dtype) * ((size - 1) / (NODES - 1))
    kernel = torch.exp(-0.5 * ((at[:, None] - at[None]) / (SIGMA * io)) ** 2)
    return kernel / kernel.sum(1, keepdim=True)
