"""The fixed geometry of a clip's mouth region: its size, the coarse grid, and how it is refined.

The region is centred on the mouth in every frame, so that the box around the lips always lies at
the same place inside it. Fields are made on a coarse grid and refined by two small matrices
(bilinear interpolation along each axis), for luma and for chroma samples alike. Chroma is sited on
the left luma column of each pair, between its rows (ITU-T H.264 annex E, type 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NODES = 24
"""Nodes of the coarse grid along each side."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle inside the region, luma pixels, even everywhere."""

    x: int
    y: int
    width: int
    height: int

    def luma(self) -> tuple[slice, slice]:
        """Rows and columns in the luma plane."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def chroma(self) -> tuple[slice, slice]:
        """Rows and columns in a chroma plane."""
        return (
            slice(self.y // 2, (self.y + self.height) // 2),
            slice(self.x // 2, (self.x + self.width) // 2),
        )


@dataclass(frozen=True, slots=True)
class Lattice:
    """Samples of one plane of one box: where they lie, and how to get there from the nodes."""

    xs: Tensor
    """(w,) luma coordinates of the columns, in the region."""
    ys: Tensor
    """(h,)."""
    across: Tensor
    """(w, NODES)."""
    down: Tensor
    """(h, NODES)."""

    def refine(self, coarse: Tensor) -> Tensor:
        """(B, NODES, NODES, C) at the nodes to (B, h, w, C) at the samples."""
        c = torch.einsum("hn,bnmc->bhmc", self.down, coarse)
        return torch.einsum("wm,bhmc->bhwc", self.across, c)

    def places(self) -> Tensor:
        """(h, w, 2) luma coordinates in the region."""
        h, w = len(self.ys), len(self.xs)
        return torch.stack([self.xs.expand(h, w), self.ys.unsqueeze(1).expand(h, w)], dim=2)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A clip's mouth region."""

    width: int
    height: int
    mouth_x: int
    """Where the middle of the mouth lies in the region."""
    mouth_y: int
    io: float
    """The clip's usual distance of the eye corners, pixels."""
    box: Box
    """Around the lips."""
    nodes: Tensor
    """(NODES, NODES, 2) luma coordinates of the nodes."""
    luma: Lattice
    chroma: Lattice
    box_luma: Lattice
    box_chroma: Lattice

    @classmethod
    def make(
        cls,
        size: tuple[int, int],
        mouth: tuple[int, int],
        io: float,
        box: Box,
        device: str,
    ) -> Canvas:
        """A canvas of `size` (width, height), both even, with the mouth at `mouth`."""
        width, height = size
        xs = torch.linspace(0, width - 1, NODES)
        ys = torch.linspace(0, height - 1, NODES)
        grid = torch.stack([xs.expand(NODES, NODES), ys.unsqueeze(1).expand(NODES, NODES)], dim=2)

        def lattice(box: Box, half: bool) -> Lattice:
            step = 2 if half else 1
            shift = 0.5 if half else 0.0
            columns = torch.arange(box.x, box.x + box.width, step, dtype=torch.float32)
            rows = torch.arange(box.y, box.y + box.height, step, dtype=torch.float32) + shift
            return Lattice(
                columns.to(device),
                rows.to(device),
                _weights(columns, width).to(device),
                _weights(rows, height).to(device),
            )

        whole = Box(0, 0, width, height)
        return cls(
            width,
            height,
            *mouth,
            io,
            box,
            grid.to(device),
            lattice(whole, half=False),
            lattice(whole, half=True),
            lattice(box, half=False),
            lattice(box, half=True),
        )

    def origin(self, mouth: Tensor) -> Tensor:
        """Where the region begins in the picture, (B, 2) int64, even.

        Args:
            mouth: (B, 2) middle of the mouth in the picture.
        """
        corner = mouth - torch.tensor([self.mouth_x, self.mouth_y], device=mouth.device)
        return (corner / 2).round().to(torch.int64) * 2


def _weights(at: Tensor, size: int) -> Tensor:
    """(n, NODES) linear interpolation between nodes that span 0 … size - 1."""
    place = (at / (size - 1) * (NODES - 1)).clamp(0, NODES - 1)
    first = place.floor().clamp(max=NODES - 2).to(torch.int64)
    share = (place - first).unsqueeze(1)
    out = torch.zeros(len(at), NODES)
    out.scatter_(1, first.unsqueeze(1), 1 - share)
    out.scatter_(1, first.unsqueeze(1) + 1, share)
    return out
