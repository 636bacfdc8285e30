"""The fixed geometry of a clip's mouth region: its size, coarse grids, and how they are refined.

The region is centred on the mouth in every frame, so that the box around the lips always lies at
the same place inside it. Fields are made on a coarse grid and refined by two small matrices
(bilinear interpolation along each axis), for luma and for chroma samples alike. Chroma is sited on
the left luma column of each pair, between its rows (ITU-T H.264 annex E, type 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.patch import Patch, read
from pipeline.engines.windows import brought

NODES = 24
"""Nodes of a coarse grid along each side."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, luma pixels, even everywhere."""

    x: int
    y: int
    width: int
    height: int

    def of(self, patch: Patch) -> Patch:
        """This part of a piece; a view, so that it can be written to."""
        rows, columns = slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)
        half_rows = slice(self.y // 2, (self.y + self.height) // 2)
        half_columns = slice(self.x // 2, (self.x + self.width) // 2)
        return Patch(patch.luma[:, :, rows, columns], patch.chroma[:, :, half_rows, half_columns])

    def inside(self, outer: Box) -> Box:
        """The same rectangle as seen from the corner of another."""
        return Box(self.x - outer.x, self.y - outer.y, self.width, self.height)

    def around(self, other: Box) -> Box:
        """The smallest rectangle that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Box(x, y, right - x, bottom - y)


@dataclass(frozen=True, slots=True)
class Lattice:
    """Samples of one plane of one box: where they lie, and how to get there from nodes."""

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
        return self.refine_plane(coarse.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def refine_plane(self, coarse: Tensor) -> Tensor:
        """(B, C, NODES, NODES) to (B, C, h, w)."""
        return self.down @ coarse @ self.across.T

    def gather(self, plane: Tensor) -> Tensor:
        """(B, C, h, w) to sums at the nodes, (B, C, NODES, NODES): the transpose of refining.

        A sum weighted by a refined plane is the sum of these weighted by the coarse one.
        """
        return self.down.T @ plane @ self.across


def carry(source: Patch, luma: Lattice, chroma: Lattice, field: Tensor, smooth: bool) -> Patch:
    """A box of samples, each read where a field says.

    Args:
        field: (B, NODES, NODES, 2) luma coordinates in the source.
        smooth: luma by `patch.read`'s bicubic reading.
    """
    return Patch(
        read(source.luma, luma.refine(source.luma_places(field)), smooth),
        read(source.chroma, chroma.refine(source.chroma_places(field))),
    )


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the region with a coarse grid of its own."""

    box: Box
    """In the region."""
    nodes: Tensor
    """(NODES, NODES, 2) coordinates in the region."""
    luma: Lattice
    chroma: Lattice
    lips: Box
    """The lip box, inside this area."""
    lips_luma: Lattice
    """The lip box's samples, refined from this area's nodes."""
    lips_chroma: Lattice

    @classmethod
    def make(cls, box: Box, lips: Box, device: str) -> Area:
        """The area of `box`, with the lip box `lips`; both in the region."""
        xs = torch.linspace(box.x, box.x + box.width - 1, NODES)
        ys = torch.linspace(box.y, box.y + box.height - 1, NODES)
        grid = torch.stack([xs.expand(NODES, NODES), ys.unsqueeze(1).expand(NODES, NODES)], dim=2)
        planes = [_lattice(part, box, half, device) for part in (box, lips) for half in (0, 1)]
        return cls(
            box, _there(grid, device), planes[0], planes[1], lips.inside(box), planes[2], planes[3]
        )


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
    whole: Area
    """All of it: what the frame's own skin is moved in."""
    face: Area
    """The part that a lent mouth can cover."""

    @property
    def device(self) -> str:
        """Where its tensors are."""
        return str(self.whole.nodes.device)

    @classmethod
    def make(
        cls,
        size: tuple[int, int],
        mouth: tuple[int, int],
        io: float,
        lips: Box,
        face: Box,
        device: str,
    ) -> Canvas:
        """A canvas of `size` (width, height), both even, with the mouth at `mouth`."""
        whole = Box(0, 0, *size)
        return cls(
            *size,
            *mouth,
            io,
            Area.make(whole, lips, device),
            Area.make(face.around(lips), lips, device),
        )

    def origin(self, mouth: Tensor) -> Tensor:
        """(B, 2) int64, even: where regions begin in the picture, by (B, 2) middles of mouths."""
        corner = mouth - torch.tensor([self.mouth_x, self.mouth_y], device=mouth.device)
        return (corner / 2).round().to(torch.int64) * 2


def _lattice(part: Box, area: Box, half: int, device: str) -> Lattice:
    """Samples of `part` between nodes that span `area`; of chroma if `half`."""
    step, shift = 1 + half, 0.5 * half
    columns = torch.arange(part.x, part.x + part.width, step, dtype=torch.float32)
    rows = torch.arange(part.y, part.y + part.height, step, dtype=torch.float32) + shift
    return Lattice(
        _there(columns, device),
        _there(rows, device),
        _there(_weights(columns - area.x, area.width), device),
        _there(_weights(rows - area.y, area.height), device),
    )


def _weights(at: Tensor, size: int) -> Tensor:
    """(n, NODES) linear interpolation between nodes that span 0 … size - 1."""
    place = (at / (size - 1) * (NODES - 1)).clamp(0, NODES - 1)
    first = place.floor().clamp(max=NODES - 2).to(torch.int64)
    share = (place - first).unsqueeze(1)
    out = torch.zeros(len(at), NODES)
    out.scatter_(1, first.unsqueeze(1), 1 - share)
    out.scatter_(1, first.unsqueeze(1) + 1, share)
    return out


def _there(made: Tensor, device: str) -> Tensor:
    """A host tensor on a device, not waited for: a still picture has areas by the frame."""
    return brought(made, torch.device(device))
