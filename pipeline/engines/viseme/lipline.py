"""The line between the lips, as two curves over the mouth's own axis.

The axis runs from one corner of the mouth to the other; `along` and `off` are a point's
coordinates on it and across it (downwards), in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.features import LEFT, RIGHT
from pipeline.engines.viseme.picked import picked
from pipeline.engines.viseme.points import PLACE
from pipeline.faces.topology import LIPS_INNER_LOWER, LIPS_INNER_UPPER

STEPS = 64
_UP = [LEFT, *(PLACE[p] for p in LIPS_INNER_UPPER), RIGHT]
_LOW = [LEFT, *(PLACE[p] for p in LIPS_INNER_LOWER), RIGHT]
_FINE = 8


@dataclass(frozen=True, slots=True)
class LipLine(Batch):
    """The inner contours of a batch of mouths."""

    middle: Tensor
    """(B, 2) middle between the corners, pixels."""
    axis: Tensor
    """(B, 2) unit vector along the mouth."""
    half: Tensor
    """(B,) half the distance of the corners."""
    upper: Tensor
    """(B, STEPS + 1) `off` of the upper lip's edge from corner to corner."""
    lower: Tensor
    """(B, STEPS + 1)."""

    @classmethod
    def of(cls, points: Tensor) -> LipLine:
        """From (B, K, 2) pixels."""
        left, right = points[:, LEFT], points[:, RIGHT]
        middle, span = (left + right) / 2, right - left
        length = span.norm(dim=1).clamp_min(1e-3)
        axis = span / length[:, None]
        up = curve(picked(points, _UP), middle, axis, length / 2)
        low = curve(picked(points, _LOW), middle, axis, length / 2)
        return cls(middle, axis, length / 2, up, torch.maximum(up, low))

    def locate(self, where: Tensor) -> tuple[Tensor, Tensor]:
        """`along` and `off`, each (B, …), of points (B, …, 2)."""
        shape = (-1,) + (1,) * (where.ndim - 2)
        dx = where[..., 0] - self.middle[:, 0].reshape(shape)
        dy = where[..., 1] - self.middle[:, 1].reshape(shape)
        ax, ay = self.axis[:, 0].reshape(shape), self.axis[:, 1].reshape(shape)
        return dx * ax + dy * ay, dy * ax - dx * ay

    def across(self, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
        """`along` and `off`, each (B, h, w), of the points of a grid with columns and rows."""
        dx = xs - self.middle[:, :1]
        dy = ys - self.middle[:, 1:]
        ax, ay = self.axis[:, :1], self.axis[:, 1:]
        along = (dx * ax).unsqueeze(1) + (dy * ay).unsqueeze(2)
        off = (dy * ax).unsqueeze(2) - (dx * ay).unsqueeze(1)
        return along, off

    def edges(self, along: Tensor) -> tuple[Tensor, Tensor]:
        """`off` of the upper and the lower edge at `along` (B, …)."""
        flat = along.reshape(len(along), -1)
        place = ((flat / self.half[:, None] + 1) * (STEPS / 2)).clamp(0, STEPS)
        first = place.floor().clamp(max=STEPS - 1)
        share = place - first
        at = first.to(torch.int64)
        found = [
            torch.lerp(curve.gather(1, at), curve.gather(1, at + 1), share).reshape(along.shape)
            for curve in (self.upper, self.lower)
        ]
        return found[0], found[1]

    def points(self, along: Tensor, off: Tensor) -> Tensor:
        """Pixels (B, …, 2) from coordinates on the axis."""
        shape = (-1,) + (1,) * (along.ndim - 1)
        ax, ay = self.axis[:, 0].reshape(shape), self.axis[:, 1].reshape(shape)
        x = self.middle[:, 0].reshape(shape) + along * ax - off * ay
        y = self.middle[:, 1].reshape(shape) + along * ay + off * ax
        return torch.stack([x, y], dim=-1)


def curve(points: Tensor, middle: Tensor, axis: Tensor, half: Tensor) -> Tensor:
    """(B, STEPS + 1) heights over the axis of a contour (B, n, 2)."""
    dx, dy = (points - middle[:, None]).unbind(2)
    ax, ay = axis[:, :1], axis[:, 1:]
    along = (dx * ax + dy * ay) / half[:, None]
    off = dy * ax - dx * ay
    fine = _catmull_rom(torch.stack([along, off], dim=2))
    along = fine[..., 0].cummax(dim=1).values
    along = along + torch.arange(along.shape[1], device=along.device) * 1e-6
    at = torch.linspace(-1, 1, STEPS + 1, device=points.device).expand(len(points), -1).contiguous()
    right = torch.searchsorted(along.contiguous(), at).clamp(1, along.shape[1] - 1)
    x0, x1 = along.gather(1, right - 1), along.gather(1, right)
    y0, y1 = fine[..., 1].gather(1, right - 1), fine[..., 1].gather(1, right)
    share = ((at - x0) / (x1 - x0).clamp_min(1e-6)).clamp(0, 1)
    return torch.lerp(y0, y1, share)


def _catmull_rom(points: Tensor) -> Tensor:
    """(B, n, 2) to (B, (n - 1) * _FINE + 1, 2) on a smooth curve through all of them."""
    first = 2 * points[:, :1] - points[:, 1:2]
    last = 2 * points[:, -1:] - points[:, -2:-1]
    p = torch.cat([first, points, last], dim=1)
    a, b, c, d = (p[:, k : p.shape[1] - 3 + k, None] for k in range(4))
    t = (torch.arange(_FINE, device=points.device) / _FINE)[None, None, :, None]
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return torch.cat([curve.flatten(1, 2), points[:, -1:]], dim=1)
