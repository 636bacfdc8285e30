"""From planned mouths to planes: one batch of output frames.

The geometry is settled first (`scene`). Then the lender's picture is laid into the region, the
inside of the mouth is filled (`inside`), and, where the lender is another frame, the result is
toned and put into the lower face.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.viseme import inside, layer, mask, tone_match, warp
from pipeline.engines.viseme.bank import Bank
from pipeline.engines.viseme.canvas import Canvas, carry
from pipeline.engines.viseme.inside import Lender
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import Patch, crispen, cut, paste
from pipeline.engines.viseme.plan import Plan
from pipeline.engines.viseme.scene import Scene, settle
from pipeline.engines.windows import brought
from pipeline.types import Frame

SHADE = 0.06
"""Of a second lender around a jump no detail finer than this is mixed in, io."""


def paint(plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
    """The mouths of output frames, all of some strength, on the reference's frames under them."""
    canvas = plan.avatar.canvas
    at = torch.tensor(list(outputs))
    scene = settle(plan, frames, at)
    corners = scene.corner.tolist()
    pieces = [
        cut(frame, x, y, canvas.width, canvas.height)
        for frame, (x, y) in zip(frames, corners, strict=True)
    ]
    own = Patch.join(pieces).to(canvas.device).float()  # they travel as 8-bit samples
    made = _lent(plan, scene, own, at) if plan.avatar.mode == "unit" else None
    if made is None:
        made = _opened(plan, scene, own, at)
    strength = plan.strength[at]
    if bool((strength < 1).any()):
        shown = brought(strength, own.luma.device)[:, None, None, None]
        made = own.mix(made, shown, shown)
    made = made.samples()
    return [
        paste(frame, made.luma[n, 0], made.chroma[n], *corners[n]) for n, frame in enumerate(frames)
    ]


def _opened(plan: Plan, scene: Scene, own: Patch, at: Tensor) -> Patch:
    """The frame's own lips and chin, moved."""
    canvas = plan.avatar.canvas
    closing = _closing(scene.own_aperture, scene.aperture)
    base = warp.at_rest(scene.wanted)
    fields = warp.mouth_fields(canvas, canvas.whole, scene.wanted, scene.own, closing, base)
    laid = layer.lay(canvas, canvas.whole, own, fields, scene.lips, closing)
    lacking = inside.lacking(scene.own_aperture, scene.aperture, inside.SLIT_OWN)
    lender = Lender(own, LipLine.of(scene.own), base, lacking)
    inner = inside.fill(plan, scene, lender, own, at)
    made = closing.maximum(lacking)
    lit = closing * (plan.even is not None)
    made, lit = brought(torch.stack([made, lit]), own.luma.device).unbind()
    inner = layer.behind_lips(canvas.whole, laid, inner, scene.lips, made, lit)
    layer.put_inside(canvas.whole, laid, inner, scene.lips)
    return laid


def _lent(plan: Plan, scene: Scene, own: Patch, at: Tensor) -> Patch | None:
    """Another frame's mouth on this frame's face."""
    bank, first, second, share = plan.avatar.bank, plan.first, plan.second, plan.share
    if bank is None or first is None or second is None or share is None:
        return None
    canvas = plan.avatar.canvas
    rows = first[at]
    device = scene.wanted.device
    units = bank.pieces[rows].float()
    laid = _lay_unit(canvas, bank, rows, units, scene)
    mixed = torch.nonzero(share[at] > 0).flatten()
    if len(mixed):
        others = second[at][mixed]
        pieces = bank.pieces[others].float()
        other = _lay_unit(canvas, bank, others, pieces, scene[mixed])
        part = brought(share[at][mixed], device)[:, None, None, None]
        into = brought(mixed, device)
        laid.luma[into] += part * _shade(other.luma - laid.luma[into], canvas.io)
        laid.chroma[into] += part * (other.chroma - laid.chroma[into])
    laid = Patch(crispen(laid.luma), laid.chroma)
    opened = bank.mouths.aperture[rows]
    base = warp.carried(scene.wanted_here, bank.points[rows], device)
    lacking = inside.lacking(opened, scene.aperture, inside.SLIT_LENT)
    lender = Lender(units, bank.lines[rows], base, lacking)
    inner = inside.fill(plan, scene, lender, own, at)
    layer.put_inside(canvas.face, laid, inner, scene.lips)
    plan.tally.units.update(rows.tolist())
    return _on_face(canvas, scene, own, laid)


def _shade(apart: Tensor, io: float) -> Tensor:
    """What of a difference (B, 1, h, w) is light and not detail.

    Two pictures' pores and edges, one over the other, are sharp in neither.
    """
    cell = max(2, round(SHADE * io))
    coarse = F.avg_pool2d(apart, cell, ceil_mode=True, count_include_pad=False)
    size = (coarse.shape[-2] * cell, coarse.shape[-1] * cell)
    fine = F.interpolate(coarse, size, mode="bilinear")
    return fine[..., : apart.shape[-2], : apart.shape[-1]]


def _lay_unit(canvas: Canvas, bank: Bank, rows: Tensor, units: Patch, scene: Scene) -> Patch:
    here = bank.points[rows]
    closing = _closing(bank.mouths.aperture[rows], scene.aperture)
    base = warp.carried(scene.wanted_here, here, scene.wanted.device)
    source = brought(here, scene.wanted.device)
    fields = warp.mouth_fields(canvas, canvas.face, scene.wanted, source, closing, base)
    return layer.lay(canvas, canvas.face, units, fields, scene.lips, closing)


def _on_face(canvas: Canvas, scene: Scene, own: Patch, laid: Patch) -> Patch:
    """A lent mouth in the light of the frame, on the frame's own skin."""
    area = canvas.face
    made = _carry_skin(canvas, scene, own)
    below = area.box.of(made)
    face = mask.lower_face(canvas, area, scene.wanted)
    skin = face * (1 - mask.lips(canvas, area, scene.wanted))
    skin = skin * (1 - mask.lips(canvas, area, scene.own))  # the frame's own mouth is covered
    toned = tone_match.match(canvas, area, laid, below, skin)
    weight = face.unsqueeze(1)
    luma, chroma = area.luma.refine_plane(weight), area.chroma.refine_plane(weight)
    below.put(below.mix(toned, luma, chroma))
    return made


def _carry_skin(canvas: Canvas, scene: Scene, own: Patch) -> Patch:
    """The frame's own skin with the chin and the cheeks where the lent mouth needs them."""
    field = warp.skin_field(canvas, scene.skin, scene.own)
    area = canvas.whole
    return carry(own, area.luma, area.chroma, field, smooth=False)


def _closing(opened: Tensor, wanted: Tensor) -> Tensor:
    """0 … 1, how much of an opening vanishes; nothing where nothing was open. On the host."""
    share = 1 - wanted / opened.clamp_min(1e-3)
    return share.clamp(0, 1) * (opened / 0.03).clamp(max=1)
