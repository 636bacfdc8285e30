"""From planned mouths to planes: one batch of output frames.

All geometry of a frame is settled first (`Scene`): the frame's own face, the wanted shape, and the
line between the lips. Then the lender's picture is laid into the region, the inside of the mouth is
filled, and, where the lender is another frame, the result is toned and put into the lower face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.viseme import cavity, expression, layer, mask, tone, tracked, warp
from pipeline.engines.viseme.bank import Bank
from pipeline.engines.viseme.canvas import Canvas, Lattice
from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.heads import Heads, fit_heads
from pipeline.engines.viseme.layer import Parting
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import (
    Patch,
    crispen,
    cut,
    paste,
    read,
    stack,
)
from pipeline.engines.viseme.score import Score
from pipeline.engines.viseme.shape import CHIN_PER_APERTURE, below_nose, edit
from pipeline.engines.viseme.steady import turned
from pipeline.engines.viseme.warp import Base
from pipeline.speech.range import JAW_PER_APERTURE
from pipeline.types import Frame

OPEN_ENOUGH = (0.35, 0.55)
"""A mouth lends its own inside when its aperture is at least this share of the wanted one."""
SLIT_LENT, SLIT_OWN = 0.018, 0.006
"""Aperture, io: a slit shows no inside; up to twice this, what is shown fades in. Lips that were
shut in the frame itself hold nothing else that could be seen between them, so that they would look
shut up to .03 io."""
SHADE = 0.06
"""Of a second lender around a jump no detail finer than this is mixed in, io."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The geometry of a batch, in the region's pixels."""

    own: Tensor
    """(B, K, 2) the frame's own points."""
    wanted: Tensor
    """(B, K, 2)."""
    skin: Tensor
    """(B, K, 2) where the frame's own skin is to go."""
    line: LipLine
    parts: tuple[Parting, Parting]
    aperture: Tensor
    """(B,) of the wanted shape, io."""
    own_aperture: Tensor
    """(B,) of the frame, io."""
    corner: Tensor
    """(B, 2) int64 of the region in the picture."""
    scale: Tensor
    """(B,) pixels per io."""


def paint(score: Score, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
    """Output frames, all with some strength, on their frames."""
    device = score.avatar.canvas.device
    at = torch.tensor(list(outputs))
    scene = _scene(score, frames, at, device)
    canvas = score.avatar.canvas
    corners = scene.corner.tolist()
    pieces = [
        cut(frame, x, y, canvas.width, canvas.height)
        for frame, (x, y) in zip(frames, corners, strict=True)
    ]
    own = stack(pieces, device).float()
    made = _lent(score, scene, own, at) if score.avatar.mode == "unit" else None
    if made is None:
        made = _opened(score, scene, own, at)
    strength = score.strength[at]
    if bool((strength < 1).any()):
        shown = strength.to(device)[:, None, None, None]
        made = own.mix(made, shown, shown)
    luma = made.luma.round_().clamp_(0, 255).to(torch.uint8).cpu()
    chroma = made.chroma.round_().clamp_(0, 255).to(torch.uint8).cpu()
    return [paste(frame, luma[n, 0], chroma[n], *corners[n]) for n, frame in enumerate(frames)]


def _scene(score: Score, frames: Sequence[Frame], at: Tensor, device: str) -> Scene:
    avatar = score.avatar
    points = tracked.points_of(avatar.reference.track, [frame.index for frame in frames])
    heads = fit_heads(points, avatar.skull)
    seen = heads.project(heads.shape)
    shape = _wanted_shape(score, heads, at)
    placed = near = heads
    if avatar.mode == "unit":
        grid = [frame.index for frame in frames]
        slip = avatar.slip[grid]
        placed = turned(heads, avatar.turn[grid], slip, avatar.skull)
        near = turned(heads, heads.rotation, slip, avatar.skull)
    strength = score.strength[at][:, None, None]
    wanted = torch.lerp(seen, placed.project(shape), strength)
    skin = torch.lerp(seen, near.project(shape), strength * below_nose(heads.shape))
    corner = avatar.canvas.origin((seen[:, LEFT] + seen[:, RIGHT]) / 2)
    own, wanted, skin = ((each - corner[:, None]).to(device) for each in (seen, wanted, skin))
    line = LipLine.of(wanted)
    parts = (
        layer.part(line, avatar.canvas.whole.lips_luma, 1.0),
        layer.part(line, avatar.canvas.whole.lips_chroma, 2.0),
    )
    measured = measure(torch.lerp(heads.shape, shape, strength))
    return Scene(
        own,
        wanted,
        skin,
        line,
        parts,
        measured.aperture.to(device),
        measure(heads.shape).aperture.to(device),
        corner,
        heads.scale.to(device),
    )


def _wanted_shape(score: Score, heads: Heads, at: Tensor) -> Tensor:
    """(B, K, 3): the frame's own shape with the planned aperture and width, or its slow part alone,
    with the fast part of the lender's."""
    avatar = score.avatar
    bank, first, shape = avatar.bank, score.first, heads.shape
    if avatar.expression is not None and bank is not None and first is not None:
        own = avatar.expression[score.source[at]].to(shape.dtype)
        shape = own + expression.lent(bank.levelled, first, at, score.fps)
    now = measure(shape)
    planned = score.path.aperture if score.drawn is None else score.drawn
    aperture = planned[at].float()
    width = score.path.width[at].float()
    if avatar.mode == "unit":
        drop = CHIN_PER_APERTURE * (aperture - now.aperture)
    else:
        sunk = score.path.jaw[at].float() * (CHIN_PER_APERTURE / JAW_PER_APERTURE)
        drop = avatar.rest_jaw + sunk - now.jaw
    return edit(shape, aperture, width, drop)


def _opened(score: Score, scene: Scene, own: Patch, at: Tensor) -> Patch:
    """The frame's own lips and chin, moved."""
    canvas = score.avatar.canvas
    closing = _closing(scene.own_aperture, scene.aperture)
    base = warp.at_rest(scene.wanted)
    fields = warp.mouth_fields(canvas, canvas.whole, scene.wanted, scene.own, closing, base)
    laid = layer.lay(canvas, canvas.whole, own, fields, scene.line, scene.parts, closing)
    foreign = _foreign(scene.own_aperture, scene.aperture, SLIT_OWN)
    inner = _inside(score, scene, own, LipLine.of(scene.own), base, foreign, own, at)
    made = closing.maximum(foreign)
    lit = closing * (score.even is not None)
    inner = layer.behind_lips(canvas.whole, laid, inner, scene.line, scene.parts, made, lit)
    layer.put_inside(canvas.whole, laid, inner, scene.parts)
    return laid


def _lent(score: Score, scene: Scene, own: Patch, at: Tensor) -> Patch | None:
    """Another frame's mouth on this frame's face."""
    bank, first, second, share = score.avatar.bank, score.first, score.second, score.share
    if bank is None or first is None or second is None or share is None:
        return None
    canvas = score.avatar.canvas
    rows = first[at]
    units = bank.pieces[rows].float()
    laid = _lay_unit(canvas, bank, rows, units, scene)
    mixed = torch.nonzero(share[at] > 0).flatten()
    if len(mixed):
        others = second[at][mixed]
        pieces = bank.pieces[others].float()
        other = _lay_unit(canvas, bank, others, pieces, _part_of(scene, mixed))
        part = share[at][mixed].to(laid.luma.device)[:, None, None, None]
        laid.luma[mixed] += part * _shade(other.luma - laid.luma[mixed], canvas.io)
        laid.chroma[mixed] += part * (other.chroma - laid.chroma[mixed])
    laid = Patch(crispen(laid.luma), laid.chroma)
    opened = bank.mouths.aperture[rows].to(scene.aperture.device)
    base = warp.carried(scene.wanted, bank.points[rows].to(scene.wanted.device))
    foreign = _foreign(opened, scene.aperture, SLIT_LENT)
    inner = _inside(score, scene, units, bank.lines.rows(rows), base, foreign, own, at)
    layer.put_inside(canvas.face, laid, inner, scene.parts)
    score.tally.units.update(rows.tolist())
    return _on_face(canvas, scene, own, laid)


def _shade(apart: Tensor, io: float) -> Tensor:
    """What of a difference (B, 1, h, w) is light and not detail: two pictures' pores and edges,
    one over the other, are sharp in neither."""
    cell = max(2, round(SHADE * io))
    coarse = F.avg_pool2d(apart, cell, ceil_mode=True, count_include_pad=False)
    size = (coarse.shape[-2] * cell, coarse.shape[-1] * cell)
    fine = F.interpolate(coarse, size, mode="bilinear")
    return fine[..., : apart.shape[-2], : apart.shape[-1]]


def _lay_unit(canvas: Canvas, bank: Bank, rows: Tensor, units: Patch, scene: Scene) -> Patch:
    source = bank.points[rows].to(scene.wanted.device)
    opened = bank.mouths.aperture[rows].to(scene.aperture.device)
    closing = _closing(opened, scene.aperture)
    base = warp.carried(scene.wanted, source)
    fields = warp.mouth_fields(canvas, canvas.face, scene.wanted, source, closing, base)
    return layer.lay(canvas, canvas.face, units, fields, scene.line, scene.parts, closing)


def _on_face(canvas: Canvas, scene: Scene, own: Patch, laid: Patch) -> Patch:
    """A lent mouth in the light of the frame, on the frame's own skin."""
    area = canvas.face
    made = _carry_skin(canvas, scene, own)
    below = area.box.of(made)
    face = mask.lower_face(canvas, area, scene.wanted)
    skin = face * (1 - mask.lips(canvas, area, scene.wanted))
    skin = skin * (1 - mask.lips(canvas, area, scene.own))  # the frame's own mouth is covered
    toned = tone.match(canvas, area, laid, below, skin)
    weight = face.unsqueeze(1)
    luma, chroma = area.luma.refine_plane(weight), area.chroma.refine_plane(weight)
    below.put(below.mix(toned, luma, chroma))
    return made


def _carry_skin(canvas: Canvas, scene: Scene, own: Patch) -> Patch:
    """The frame's own skin with the chin and the cheeks where the lent mouth needs them."""
    field = warp.skin_field(canvas, scene.skin, scene.own)
    area = canvas.whole
    return Patch(
        read(own.luma, area.luma.refine(own.luma_places(field))),
        read(own.chroma, area.chroma.refine(own.chroma_places(field))),
    )


def _inside(
    score: Score,
    scene: Scene,
    source: Patch,
    source_line: LipLine,
    base: Base,
    foreign: Tensor,
    own: Patch,
    at: Tensor,
) -> Patch:
    """The inside of the mouths: the lender's own, an open frame's, or painted."""
    need = torch.nonzero(foreign > 0).flatten()
    score.tally.inner_own += len(at) - len(need)
    if not len(need):
        return layer.inside_of(source, scene.line, source_line, base, scene.parts, score.even)
    given = torch.nonzero(foreign < 1).flatten()
    inner = _own_inside(scene, source, source_line, base, given, score.even)
    part = _part_of(scene, need)
    other = _other_inside(score, part, own[need], at[need.cpu()])
    weight = foreign[need][:, None, None, None]
    both = inner[need].mix(other, weight, weight)
    inner.luma[need], inner.chroma[need] = both.luma, both.chroma
    return inner


def _own_inside(
    scene: Scene, source: Patch, source_line: LipLine, base: Base, rows: Tensor, even: int | None
) -> Patch:
    """The inside of some mouths as their lenders have it; nothing where others give it whole."""
    luma, chroma = (torch.zeros_like(part.inside).unsqueeze(1) for part in scene.parts)
    inner = Patch(luma, chroma.repeat(1, 2, 1, 1))
    if len(rows):
        part = _part_of(scene, rows)
        lines, bases = source_line.rows(rows), base.rows(rows)
        own = layer.inside_of(source[rows], part.line, lines, bases, part.parts, even)
        inner.luma[rows], inner.chroma[rows] = own.luma, own.chroma
    return inner


def _foreign(opened: Tensor, wanted: Tensor, slit: float) -> Tensor:
    """0 … 1, how much of the inside a mouth that is so far open cannot give."""
    low, high = OPEN_ENOUGH
    ratio = opened / wanted.clamp_min(1e-3)
    missing = 1 - ((ratio - low) / (high - low)).clamp(0, 1)
    return missing * mask.smooth((wanted - slit) / slit)


def _other_inside(score: Score, scene: Scene, own: Patch, at: Tensor) -> Patch:
    avatar = score.avatar
    bank, first = avatar.bank, score.first
    if avatar.mode == "warp+bank" and bank is not None and first is not None:
        rows = first[at]
        score.tally.inner_lent += len(at)
        base = warp.carried(scene.wanted, bank.points[rows].to(scene.wanted.device))
        line = bank.lines.rows(rows)
        pieces = bank.pieces[rows].float()
        return layer.inside_of(pieces, scene.line, line, base, scene.parts, score.even)
    score.tally.inner_painted += len(at)
    skin = _skin(avatar.canvas, scene, own)
    return cavity.paint(scene.line, LipLine.of(scene.own), scene.scale, skin, scene.parts)


def _skin(canvas: Canvas, scene: Scene, own: Patch) -> cavity.Skin:
    """Mean colour around the mouth."""
    area = canvas.whole
    face = mask.lower_face(canvas, area, scene.own)
    weight = (face * (1 - mask.lips(canvas, area, scene.own))).unsqueeze(1)
    y = _mean(area.luma, own.luma, weight)[:, 0]
    u, v = _mean(area.chroma, own.chroma, weight).unbind(1)
    return cavity.Skin(*(c[:, None, None] for c in (y, u, v)))


def _mean(lattice: Lattice, plane: Tensor, weight: Tensor) -> Tensor:
    """(B, C) means of (B, C, h, w) by a coarse weight (B, 1, NODES, NODES)."""
    share = lattice.gather(torch.ones_like(plane[:1, :1]))
    total = (share * weight).sum((2, 3)).clamp_min(1)
    return (lattice.gather(plane) * weight).sum((2, 3)) / total


def _closing(opened: Tensor, wanted: Tensor) -> Tensor:
    """0 … 1, how much of an opening vanishes; nothing vanishes where nothing was open."""
    share = 1 - wanted / opened.clamp_min(1e-3)
    return share.clamp(0, 1) * (opened / 0.03).clamp(max=1)


def _part_of(scene: Scene, rows: Tensor) -> Scene:
    luma, chroma = scene.parts
    return Scene(
        scene.own[rows],
        scene.wanted[rows],
        scene.skin[rows],
        scene.line.rows(rows),
        (luma.rows(rows), chroma.rows(rows)),
        scene.aperture[rows],
        scene.own_aperture[rows],
        scene.corner[rows.cpu()],
        scene.scale[rows],
    )
