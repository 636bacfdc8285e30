"""Who owns each sample around a mouth, or an eye: the upper lip or lid, the inside, the lower."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.canvas import Area, Lattice
from pipeline.engines.viseme.lipline import LipLine

BEYOND = 0.5
"""Beside the corners the switch between the fields softens by this much per pixel of distance."""


@dataclass(frozen=True, slots=True)
class Parting(Batch):
    """Who owns each sample of one plane: upper lip, inside, lower lip."""

    along: Tensor
    """(B, h, w) pixels from the middle of the mouth."""
    off: Tensor
    """(B, h, w) pixels below the line through its corners."""
    edge: Tensor
    """(B, h, w) `off` of the upper lip's edge here."""
    depth: Tensor
    """(B, h, w) 0 at the upper lip's edge, 1 at the lower's."""
    gap: Tensor
    """(B, h, w) distance of the edges here, pixels."""
    upper: Tensor
    """(B, h, w) weight of the upper lip's field; the lower's is 1 - upper - inside."""
    inside: Tensor


def part(line: LipLine, lattice: Lattice, grain: float) -> Parting:
    """The partition of a lattice by a line; edges are softened over `grain` luma pixels."""
    along, off = line.across(lattice.xs, lattice.ys)
    up, low = line.edges(along)
    beyond = (along.abs() - line.half[:, None, None]).clamp_min(0)
    soft = grain + BEYOND * beyond
    upper = (0.5 + (up - off) / soft).clamp(0, 1)
    lower = (0.5 + (off - low) / soft).clamp(0, 1)
    gap = low - up
    depth = ((off - up) / gap.clamp_min(0.5)).clamp(0, 1)
    return Parting(along, off, up, depth, gap, upper, (1 - upper - lower).clamp(0, 1))


@dataclass(frozen=True, slots=True)
class Lips(Batch):
    """Lips as they are wanted in the region, and the lip box parted by them."""

    line: LipLine
    luma: Parting
    chroma: Parting

    @classmethod
    def of(cls, line: LipLine, area: Area) -> Lips:
        """Part the lip box of an area."""
        return cls(line, part(line, area.lips_luma, 1.0), part(line, area.lips_chroma, 2.0))
