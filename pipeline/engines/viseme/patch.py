"""Pieces of frames as planes: cut out, read anywhere, put back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.viseme.batch import Batch
from pipeline.engines.windows import to_host
from pipeline.types import Frame

DROOP = 0.02
"""Bicubic reading half-way between samples loses about a twelfth at half the Nyquist rate."""


@dataclass(frozen=True, slots=True)
class Patch(Batch):
    """A batch of pieces, 8-bit or float."""

    luma: Tensor
    """(B, 1, h, w)."""
    chroma: Tensor
    """(B, 2, h/2, w/2)."""

    def float(self) -> Patch:
        """The same in float32."""
        return self._each(lambda it: it.float())

    def samples(self) -> Patch:
        """The same in 8 bits, in host memory; overwrites this one."""
        made = [it.round_().clamp_(0, 255).to(torch.uint8) for it in (self.luma, self.chroma)]
        return Patch(*to_host(made))

    def mix(self, other: Patch, luma: Tensor, chroma: Tensor) -> Patch:
        """`other` where the weights (B, 1, h, w) are 1, this one where they are 0."""
        return Patch(
            torch.lerp(self.luma, other.luma, luma), torch.lerp(self.chroma, other.chroma, chroma)
        )

    def put(self, other: Patch) -> None:
        """Overwrite the samples with those of another piece of this size."""
        self.luma.copy_(other.luma)
        self.chroma.copy_(other.chroma)

    def luma_places(self, where: Tensor) -> Tensor:
        """Luma coordinates (…, 2) in the piece, as `read` takes them for luma."""
        return _scaled(where, self.luma)

    def chroma_places(self, where: Tensor) -> Tensor:
        """Luma coordinates (…, 2) in the piece, as `read` takes them for chroma."""
        return _scaled((where - _pair(0.0, 0.5, where.device)) / 2, self.chroma)


def cut(frame: Frame, x: int, y: int, width: int, height: int) -> Patch:
    """A piece of a frame; beyond the frame its edge is repeated. All numbers even.

    It is a copy: who gathers many of them holds no whole pictures by them.
    """
    luma = torch.stack([_cut(frame.y, x, y, width, height)])
    chroma = torch.stack(
        [_cut(plane, x // 2, y // 2, width // 2, height // 2) for plane in (frame.u, frame.v)]
    )
    return Patch(luma[None], chroma[None])


def paste(frame: Frame, luma: Tensor, chroma: Tensor, x: int, y: int) -> Frame:
    """A frame with a piece put in: luma (h, w), chroma (2, h/2, w/2), uint8, host memory."""
    return replace(
        frame,
        y=_paste(frame.y, luma, x, y),
        u=_paste(frame.u, chroma[0], x // 2, y // 2),
        v=_paste(frame.v, chroma[1], x // 2, y // 2),
    )


def read(planes: Tensor, places: Tensor, smooth: bool = False) -> Tensor:
    """Samples at any places; beyond the piece its edge is repeated.

    Args:
        planes: (B, C, h, w) float.
        places: (B, H, W, 2) from `luma_places` or `chroma_places`.
        smooth: bicubic (a = -0.75), else bilinear.

    Returns:
        (B, C, H, W).
    """
    return F.grid_sample(
        planes,
        places,
        mode="bicubic" if smooth else "bilinear",
        padding_mode="border",
        align_corners=True,
    )


def crispen(plane: Tensor) -> Tensor:
    """Give back what one bicubic reading takes from the finest detail of (B, 1, h, w) floats."""
    edge = F.pad(plane, (1, 1, 1, 1), mode="replicate")
    around = edge[..., :-2, 1:-1] + edge[..., 2:, 1:-1] + edge[..., 1:-1, :-2] + edge[..., 1:-1, 2:]
    return torch.add(plane * (1 + 4 * DROOP), around, alpha=-DROOP)


def _scaled(where: Tensor, planes: Tensor) -> Tensor:
    """Sample coordinates as shares of a plane, -1 at the first sample and 1 at the last."""
    high, wide = planes.shape[-2:]
    return where * _pair(2 / (wide - 1), 2 / (high - 1), where.device) - 1


@lru_cache(maxsize=256)
def _pair(x: float, y: float, device: torch.device) -> Tensor:
    """(2,) on a device; for good, so it is waited for."""
    return torch.tensor([x, y]).to(device)


def _cut(plane: Tensor, x: int, y: int, width: int, height: int) -> Tensor:
    high, wide = plane.shape
    if min(x, y) >= 0 and x + width <= wide and y + height <= high:
        return plane[y : y + height, x : x + width]
    rows = torch.arange(y, y + height).clamp(0, high - 1)
    columns = torch.arange(x, x + width).clamp(0, wide - 1)
    return plane[rows][:, columns]


def _paste(plane: Tensor, piece: Tensor, x: int, y: int) -> Tensor:
    out = plane.clone()
    high, wide = plane.shape
    height, width = piece.shape
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(height, high - y), min(width, wide - x)
    if bottom > top and right > left:
        out[y + top : y + bottom, x + left : x + right] = piece[top:bottom, left:right]
    return out
