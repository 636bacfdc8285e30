"""One source laid into the region: lips and skin by two fields, and the inside of the mouth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.canvas import Canvas, Lattice
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import Patch, sample_chroma, sample_luma
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
    where = lattice.places().expand(len(line.half), -1, -1, -1)
    along, off = line.locate(where)
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
    source: Patch,
    fields: MouthFields,
    line: LipLine,
    parts: tuple[Parting, Parting],
    closing: Tensor,
) -> Patch:
    """Lips and skin of a source in the region; the inside of the mouth is left to others.

    Args:
        canvas: the region.
        source: float pieces (B).
        fields: from `warp.mouth_fields`.
        line: the wanted lips.
        parts: the lip box parted, for luma and for chroma.
        closing: (B,) how much of the source's opening vanishes: open lips have no shadow line, so
            closed ones that are made from them get one.

    Returns:
        Float planes of the region's size.
    """
    blend = _switch(canvas, line)
    mixed = torch.lerp(fields.upper, fields.lower, blend)
    luma = sample_luma(source.luma, fields.at(mixed, canvas.luma), smooth=True)
    chroma = sample_chroma(source.chroma, fields.at(mixed, canvas.chroma))
    rows, columns = canvas.box.luma()
    upper, lower = (
        sample_luma(source.luma, fields.at(field, canvas.box_luma), smooth=True)
        for field in (fields.upper, fields.lower)
    )
    shadow = 1 - _seam(canvas, line, parts[0]) * closing[:, None, None]
    luma[:, :, rows, columns] = _box(upper, lower, parts[0]) * shadow.unsqueeze(1)
    rows, columns = canvas.box.chroma()
    upper, lower = (
        sample_chroma(source.chroma, fields.at(field, canvas.box_chroma))
        for field in (fields.upper, fields.lower)
    )
    chroma[:, :, rows, columns] = _box(upper, lower, parts[1])
    return Patch(luma, chroma)


def inside_of(
    source: Patch, line: LipLine, source_line: LipLine, parts: tuple[Parting, Parting]
) -> Patch:
    """The inside of a source's mouth, stretched between the wanted lips; planes of the lip box."""
    luma = sample_luma(source.luma, _ruled(line, source_line, parts[0]), smooth=True)
    chroma = sample_chroma(source.chroma, _ruled(line, source_line, parts[1]))
    return Patch(luma, chroma)


def put_inside(canvas: Canvas, laid: Patch, inner: Patch, parts: tuple[Parting, Parting]) -> Patch:
    """The region with the inside of the mouth filled in."""
    luma, chroma = laid.luma.clone(), laid.chroma.clone()
    rows, columns = canvas.box.luma()
    box = luma[:, :, rows, columns]
    luma[:, :, rows, columns] = torch.lerp(box, inner.luma, parts[0].inside.unsqueeze(1))
    rows, columns = canvas.box.chroma()
    box = chroma[:, :, rows, columns]
    chroma[:, :, rows, columns] = torch.lerp(box, inner.chroma, parts[1].inside.unsqueeze(1))
    return Patch(luma, chroma)


def _ruled(line: LipLine, source: LipLine, parting: Parting) -> Tensor:
    along = parting.along * (source.half / line.half)[:, None, None]
    up, low = source.edges(along)
    return source.points(along, torch.lerp(up, low, parting.depth))


def _switch(canvas: Canvas, line: LipLine) -> Tensor:
    """(B, NODES, NODES, 1) 0 where the upper field rules, 1 where the lower does."""
    along, off = line.locate(canvas.nodes.expand(len(line.half), -1, -1, -1))
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


def _box(upper: Tensor, lower: Tensor, parting: Parting) -> Tensor:
    total = (1 - parting.inside).clamp_min(1e-3)
    return torch.lerp(lower, upper, (parting.upper / total).clamp(0, 1).unsqueeze(1))
