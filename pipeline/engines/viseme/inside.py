"""The inside of mouths: the lender's own, an open frame's, or painted where none was ever seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme import cavity, layer, mask, warp
from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.canvas import Canvas, Lattice
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import Patch
from pipeline.engines.viseme.plan import Plan
from pipeline.engines.viseme.scene import Scene
from pipeline.engines.viseme.warp import Base
from pipeline.engines.windows import brought

OPEN_ENOUGH = (0.35, 0.55)
"""A mouth lends its own inside when its aperture is at least this share of the wanted one."""
SLIT_LENT, SLIT_OWN = 0.018, 0.006
"""Aperture, io: a slit shows no inside; up to twice this, what is shown fades in. Lips that were
shut in the frame itself hold nothing else that could be seen between them, so that they would look
shut up to .03 io."""


@dataclass(frozen=True, slots=True)
class Lender(Batch):
    """The mouths (B) that are laid into the region, in their own pieces."""

    pieces: Patch
    """Float."""
    line: LipLine
    """In their pieces."""
    base: Base
    """From the region to the pieces, as skulls move."""
    lacking: Tensor
    """(B,) 0 to 1, how much of the inside they cannot give; on the host."""


def lacking(opened: Tensor, wanted: Tensor, slit: float) -> Tensor:
    """How much of the inside a mouth cannot give that is not far enough open.

    Args:
        opened: (B,) its aperture, io.
        wanted: (B,) the aperture that is asked for, io.
        slit: `SLIT_LENT` or `SLIT_OWN`.

    Returns:
        (B,) 0 to 1.
    """
    low, high = OPEN_ENOUGH
    ratio = opened / wanted.clamp_min(1e-3)
    missing = 1 - ((ratio - low) / (high - low)).clamp(0, 1)
    return missing * mask.smooth((wanted - slit) / slit)


def fill(plan: Plan, scene: Scene, lender: Lender, own: Patch, at: Tensor) -> Patch:
    """The inside of the mouths.

    Args:
        plan: the job; its tally counts whose insides are seen.
        own: float pieces (B) of the frames themselves.
        at: (B,) int64 output frames, on the host.

    Returns:
        Float planes of the lip box.
    """
    need = torch.nonzero(lender.lacking > 0).flatten()
    plan.tally.inner_own += len(at) - len(need)
    if not len(need):
        return layer.inside_of(lender.pieces, scene.lips, lender.line, lender.base, plan.even)
    given = torch.nonzero(lender.lacking < 1).flatten()
    inner = _lent(scene, lender, given, plan.even)
    there = brought(need, own.luma.device)
    other = _other(plan, scene[need], own[need], at[need])
    weight = brought(lender.lacking[need], own.luma.device)[:, None, None, None]
    both = inner[need].mix(other, weight, weight)
    inner.luma[there], inner.chroma[there] = both.luma, both.chroma
    return inner


def _lent(scene: Scene, lender: Lender, rows: Tensor, even: int | None) -> Patch:
    """The inside of some mouths as their lenders have it; nothing where others give it whole."""
    luma, chroma = (
        torch.zeros_like(part.inside).unsqueeze(1) for part in (scene.lips.luma, scene.lips.chroma)
    )
    inner = Patch(luma, chroma.repeat(1, 2, 1, 1))
    if len(rows):
        there = brought(rows, luma.device)
        lips, by = scene.lips[rows], lender[rows]
        lent = layer.inside_of(by.pieces, lips, by.line, by.base, even)
        inner.luma[there], inner.chroma[there] = lent.luma, lent.chroma
    return inner


def _other(plan: Plan, scene: Scene, own: Patch, at: Tensor) -> Patch:
    """The inside of an open frame of the reference; painted where there is none."""
    avatar = plan.avatar
    bank, first = avatar.bank, plan.first
    if avatar.mode == "warp+bank" and bank is not None and first is not None:
        rows = first[at]
        plan.tally.inner_lent += len(at)
        base = warp.carried(scene.wanted_here, bank.points[rows], scene.wanted.device)
        line = bank.lines[rows]
        pieces = bank.pieces[rows].float()
        return layer.inside_of(pieces, scene.lips, line, base, plan.even)
    plan.tally.inner_painted += len(at)
    skin = _skin(avatar.canvas, scene, own)
    return cavity.paint(scene.lips, LipLine.of(scene.own), scene.scale, skin)


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
