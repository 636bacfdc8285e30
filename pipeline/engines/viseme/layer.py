"""One source laid into the region: lips and skin by two fields, and the inside of the mouth."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.viseme.canvas import Area, Canvas, carry
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.mask import bell, smooth
from pipeline.engines.viseme.parting import BEYOND, Lips, Parting
from pipeline.engines.viseme.patch import Patch, read
from pipeline.engines.viseme.warp import Base, MouthFields
from pipeline.engines.windows import brought

SEAM, SEAM_WIDTH = 0.35, 0.010
"""Darkness of the line between lips, and its width in io."""
WIDEST = 2.0
"""The inside of a mouth is stretched over at most so many times its own gap."""
DIM, LIT = 0.25, 0.2
"""Light on what lies in the narrowest slit, against that in an open mouth, and the gap from which
a mouth is open, in halves of its width."""
SLIT, SLIT_WIDTH = 0.5, 0.12
"""Brightness of the narrowest slit against the lips, and the gap from which their light does not
reach in any more, in halves of the mouth's width."""
EVEN = 0.15
"""Half of a tooth's width, in halves of the mouth's."""
DULL = 0.5
"""How much darker than by a slit's light alone its inside is, at most: it is seen as open by that,
once its teeth are even and red."""
MADE = 0.5
"""Share of an opening's change from which on all light is the lips'."""
BLACK = 16.0


def lay(
    canvas: Canvas,
    area: Area,
    source: Patch,
    fields: MouthFields,
    lips: Lips,
    closing: Tensor,
) -> Patch:
    """Lips and skin of a source in an area; the inside of the mouth is left to others.

    Args:
        source: float pieces (B).
        fields: from `warp.mouth_fields`, for the same area.
        closing: (B,) on the host, how much of the source's opening vanishes: open lips have no
            shadow line, so closed ones that are made from them get one.

    Returns:
        Float planes of the area's size.
    """
    mixed = torch.lerp(fields.upper, fields.lower, _switch(area, lips.line))
    laid = carry(source, area.luma, area.chroma, mixed, smooth=True)
    upper, lower = (
        carry(source, area.lips_luma, area.lips_chroma, field, smooth=True)
        for field in (fields.upper, fields.lower)
    )
    both = lower.mix(upper, _upper_share(lips.luma), _upper_share(lips.chroma))
    if bool((closing > 0).any()):
        share = brought(closing, laid.luma.device)[:, None, None]
        shadow = 1 - _seam(canvas, lips.line, lips.luma) * share
        both.luma.mul_(shadow.unsqueeze(1))
    area.lips.of(laid).put(both)
    return laid


def inside_of(
    source: Patch, lips: Lips, source_line: LipLine, base: Base, even: int | None
) -> Patch:
    """The inside of a source's mouth behind the wanted lips; planes of the lip box.

    Args:
        base: from the region to the piece, as skulls move: teeth hang on it.
        even: pixels to each side over which teeth are made even in less light, and darker still
            (`evening`); None leaves them as they are: lent mouths shook more by it.
    """
    places, light = _behind(lips.line, source_line, base, lips.luma)
    luma = read(source.luma, source.luma_places(places), smooth=True)
    light = light.unsqueeze(1)
    if even is not None:
        luma, light = _even(luma, light, even), light * (1 - DULL + DULL * light)
    luma = BLACK + (luma - BLACK) * light
    places, _ = _behind(lips.line, source_line, base, lips.chroma)
    return Patch(luma, read(source.chroma, source.chroma_places(places)))


def evening(lines: LipLine) -> int:
    """Pixels to each side over which a reference's teeth are made even, by its mouths (C).

    The same in all of its frames, whichever are painted together.
    """
    return round(EVEN * float(lines.half.mean()))


def _even(luma: Tensor, light: Tensor, reach: int) -> Tensor:
    """Teeth whose gaps, dark as they are already, go under where there is less light on them."""
    even = F.avg_pool2d(luma, (1, 2 * reach + 1), 1, (0, reach), count_include_pad=False)
    return torch.lerp(even, luma, light)


def behind_lips(
    area: Area,
    laid: Patch,
    inner: Patch,
    lips: Lips,
    made: Tensor,
    closing: Tensor,
) -> Patch:
    """The inside as it looks through a slit that was made: a shadow of the lips' own colour.

    Teeth that stay in their light behind lips that all but meet would look like a drawn line, and
    in less light of their own colour grey: what comes between lips comes off them. The same shadow
    along the edges of open lips looks rounder, but on small faces they are then seen less surely.

    Args:
        inner: the inside; planes of the lip box.
        made: (B,) 0 to 1, how far the opening is not the source's own, which has its own light.
        closing: (B,) 0 to 1, how much of an opening with teeth of its own vanishes.
    """
    box, line = area.lips.of(laid), lips.line
    luma = _near_lips(lips.luma, line, made, SLIT_WIDTH)
    chroma = _near_lips(lips.chroma, line, made, SLIT_WIDTH)
    chroma = chroma.maximum(_near_lips(lips.chroma, line, (closing / MADE).clamp(max=1), LIT))
    shade = BLACK + (box.luma - BLACK) * SLIT
    return Patch(torch.lerp(inner.luma, shade, luma), torch.lerp(inner.chroma, box.chroma, chroma))


def _near_lips(part: Parting, line: LipLine, made: Tensor, reach: float) -> Tensor:
    """(B, 1, h, w) how much lips nearly meet that did not in the source.

    1 where they all but meet, to 0 where they are `reach` halves of the mouth's width apart.
    """
    wide = part.gap / line.half[:, None, None] / reach
    return (made[:, None, None] * (1 - smooth(wide))).unsqueeze(1)


def put_inside(area: Area, laid: Patch, inner: Patch, lips: Lips) -> None:
    """Fill the inside of the mouth in, in place."""
    box = area.lips.of(laid)
    box.put(box.mix(inner, lips.luma.inside.unsqueeze(1), lips.chroma.inside.unsqueeze(1)))


def _behind(line: LipLine, source: LipLine, base: Base, parting: Parting) -> tuple[Tensor, Tensor]:
    """Where the inside is read, (B, h, w, 2), and how bright it stays, (B, h, w).

    Teeth do not bend: lips slide over them. So what both mouths show is read where the skull has
    it, from the upper lip down. Where the wanted mouth is wider open than the source's, what lies
    under the teeth is stretched, least at the top.
    """
    along, off = _carried(line, source, base, parting)
    size = base.size()[:, None, None]
    side = (parting.along / line.half[:, None, None]).clamp(-1, 1)
    along = torch.lerp(along, side * source.half[:, None, None], side.square())
    up, low = source.edges(along)
    gap, wanted = low - up, parting.gap * size
    top = (off - (parting.off - parting.edge) * size).minimum(low - wanted).maximum(up)
    room = low - top
    wider = (wanted / room.clamp_min(0.25)).clamp(1, WIDEST)
    down = parting.depth
    shown = wanted.minimum(room) * down * (wider - (wider - 1) * down)
    half = source.half[:, None, None]
    light = _light(wanted / half) / _light(gap / half)
    return source.points(along, top + shown), light.clamp(max=1)


def _carried(line: LipLine, source: LipLine, base: Base, parting: Parting) -> tuple[Tensor, Tensor]:
    """The samples' places on the source's axis, `along` and `off`, if the skull alone moved."""
    x, y = line.axis.unbind(1)
    axes = torch.stack([line.axis, torch.stack([-y, x], 1)], 1) @ base.turn.transpose(1, 2)
    start = base(line.middle[:, None])[:, 0] - source.middle
    x, y = source.axis.unbind(1)
    frame = torch.stack([source.axis, torch.stack([-y, x], 1)], 2)
    turn, shift = (axes @ frame)[..., None, None], (start[:, None] @ frame)[:, 0, :, None, None]
    along, off = (
        parting.along * turn[:, 0, n] + parting.off * turn[:, 1, n] + shift[:, n] for n in (0, 1)
    )
    return along, off


def _light(gap: Tensor) -> Tensor:
    """How much light falls between lips that are so many halves of the mouth's width apart."""
    return DIM + (1 - DIM) * smooth(gap / LIT)


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
    return SEAM * bell(away) * shut * inner


def _upper_share(parting: Parting) -> Tensor:
    """(B, 1, h, w) the upper lip's share among the lips."""
    total = (1 - parting.inside).clamp_min(1e-3)
    return (parting.upper / total).clamp(0, 1).unsqueeze(1)
