"""One source laid into the region: lips and skin by two fields, and the inside of the mouth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.canvas import Area, Canvas, Lattice
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import Patch, read
from pipeline.engines.viseme.warp import MouthFields

SEAM, SEAM_WIDTH = 0.35, 0.010
"""Darkness of the line between lips, and its width in io."""
BEYOND = 0.5
"""Beside the corners the switch between the fields softens by this much per pixel of distance."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Who owns each sample of the lip box, for one plane: upper lip, inside, lower lip."""

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
    """The partition of a lattice by a mouth's line.

    Args:
        line: the lips in the region.
        lattice: samples of the lip box.
        grain: luma pixels per sample, over which edges are softened.
    """
    along, off = line.across(lattice.xs, lattice.ys)
    up, low = line.edges(along)
    beyond = (along.abs() - line.half[:, None, None]).clamp_min(0)
    soft = grain + BEYOND * beyond
    upper = (0.5 + (up - off) / soft).clamp(0, 1)
    lower = (0.5 + (off - low) / soft).clamp(0, 1)
    gap = low - up
    depth = ((off - up) / gap.clamp_min(0.5)).clamp(0, 1)
    return Parting(along, off, up, depth, gap, upper, (1 - upper - lower).clamp(0, 1))


def lay(
    canvas: Canvas,
    area: Area,
    source: Patch,
    fields: MouthFields,
    line: LipLine,
    parts: tuple[Parting, Parting],
    closing: Tensor,
) -> Patch:
    """Lips and skin of a source in an area; the inside of the mouth is left to others.

    Args:
        canvas: the region.
        area: the part of it to fill.
        source: float pieces (B).
        fields: from `warp.mouth_fields`, for the same area.
        line: the wanted lips.
        parts: the lip box parted, for luma and for chroma.
        closing: (B,) how much of the source's opening vanishes: open lips have no shadow line, so
            closed ones that are made from them get one.

    Returns:
        Float planes of the area's size.
    """
    mixed = torch.lerp(fields.upper, fields.lower, _switch(area, line))
    places = source.luma_places
    laid = Patch(
        read(source.luma, area.luma.refine(places(mixed)), smooth=True),
        read(source.chroma, area.chroma.refine(source.chroma_places(mixed))),
    )
    lips = [
        Patch(
            read(source.luma, area.lips_luma.refine(places(field)), smooth=True),
            read(source.chroma, area.lips_chroma.refine(source.chroma_places(field))),
        )
        for field in (fields.upper, fields.lower)
    ]
    luma, chroma = (_upper_share(part) for part in parts)
    both = lips[1].mix(lips[0], luma, chroma)
    shadow = 1 - _seam(canvas, line, parts[0]) * closing[:, None, None]
    area.lips.of(laid).put(Patch(both.luma * shadow.unsqueeze(1), both.chroma))
    return laid


def inside_of(
    source: Patch, line: LipLine, source_line: LipLine, parts: tuple[Parting, Parting]
) -> Patch:
    """The inside of a source's mouth, stretched between the wanted lips; planes of the lip box."""
    luma = source.luma_places(_ruled(line, source_line, parts[0]))
    chroma = source.chroma_places(_ruled(line, source_line, parts[1]))
    return Patch(read(source.luma, luma, smooth=True), read(source.chroma, chroma))


def put_inside(area: Area, laid: Patch, inner: Patch, parts: tuple[Parting, Parting]) -> None:
    """Fill the inside of the mouth in, in place."""
    box = area.lips.of(laid)
    box.put(box.mix(inner, parts[0].inside.unsqueeze(1), parts[1].inside.unsqueeze(1)))


def _ruled(line: LipLine, source: LipLine, parting: Parting) -> Tensor:
    along = parting.along * (source.half / line.half)[:, None, None]
    up, low = source.edges(along)
    return source.points(along, torch.lerp(up, low, parting.depth))


def _switch(area: Area, line: LipLine) -> Tensor:
    """(B, NODES, NODES, 1) 0 where the upper field rules, 1 where the lower does."""
    along, off = line.locate(area.nodes.expand(len(line.half), -1, -1, -1))
    up, low = line.edges(along)
    beyond = (along.abs() - line.half[:, None, None]).clamp_min(0)
    return (0.5 + (off - (up + low) / 2) / (1 + BEYOND * beyond)).clamp(0, 1).unsqueeze(3)


def _seam(canvas: Canvas, line: LipLine, parting: Parting) -> Tensor:
    """(B, h, w) the shadow line of closed lips; none where they are apart."""
    size = SEAM_WIDTH * canvas.io
    apart = parting.off - parting.edge
    away = (apart - parting.gap / 2) / size
    shut = (1 - parting.gap / (2 * size)).clamp(0, 1)
    inner = ((1 - (parting.along / line.half[:, None, None]).abs()) / 0.15).clamp(0, 1)
    return SEAM * torch.exp(-away.square()) * shut * inner


def _upper_share(parting: Parting) -> Tensor:
    """(B, 1, h, w) the upper lip's share among the lips."""
    total = (1 - parting.inside).clamp_min(1e-3)
    return (parting.upper / total).clamp(0, 1).unsqueeze(1)
