"""The geometry of a batch, settled before anything is painted.

That is the frames' own faces, the shapes that are wanted of them, and the line between the lips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme import expression, tracked
from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.heads import Heads, fit_heads
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.parting import Lips
from pipeline.engines.viseme.plan import Plan
from pipeline.engines.viseme.shape import CHIN_PER_APERTURE, below_nose, edit
from pipeline.engines.viseme.steady import turned
from pipeline.engines.viseme.under_lip import under_lip
from pipeline.engines.windows import brought
from pipeline.speech.mouth_range import JAW_PER_APERTURE
from pipeline.types import Frame


@dataclass(frozen=True, slots=True)
class Scene(Batch):
    """The geometry of a batch, in the region's pixels."""

    own: Tensor
    """(B, K, 2) the frame's own points."""
    wanted: Tensor
    """(B, K, 2)."""
    wanted_here: Tensor
    """The same on the host."""
    skin: Tensor
    """(B, K, 2) where the frame's own skin is to go."""
    lips: Lips
    """Of the wanted shape."""
    aperture: Tensor
    """(B,) of the wanted shape, io, on the host: what is decided by it waits for nothing."""
    own_aperture: Tensor
    """(B,) of the frame, io, on the host."""
    corner: Tensor
    """(B, 2) int64 of the region in the picture, on the host."""
    scale: Tensor
    """(B,) pixels per io."""


def settle(plan: Plan, frames: Sequence[Frame], at: Tensor) -> Scene:
    """The scene of output frames.

    Args:
        at: (B,) int64 output frames.

    Returns:
        On the canvas's device, but for what says that it is on the host.
    """
    avatar, device = plan.avatar, torch.device(plan.avatar.canvas.device)
    points = tracked.points_of(avatar.reference.track, [frame.index for frame in frames])
    heads = fit_heads(points, avatar.skull)
    seen = heads.project(heads.shape)
    shape = _wanted_shape(plan, heads, at)
    placed = near = heads
    if avatar.mode == "unit":
        grid = [frame.index for frame in frames]
        slip = avatar.slip[grid]
        placed = turned(heads, avatar.turn[grid], slip, avatar.skull)
        near = turned(heads, heads.rotation, slip, avatar.skull)
    strength = plan.strength[at][:, None, None]
    wanted = torch.lerp(seen, placed.project(shape), strength)
    skin = torch.lerp(seen, near.project(shape), strength * below_nose(heads.shape))
    corner = avatar.canvas.origin((seen[:, LEFT] + seen[:, RIGHT]) / 2)
    here = torch.stack([seen, wanted, skin]) - corner[:, None]
    own, wanted, skin = brought(here, device).unbind()
    measured = measure(torch.lerp(heads.shape, shape, strength))
    return Scene(
        own,
        wanted,
        here[1],
        skin,
        Lips.of(LipLine.of(wanted), avatar.canvas.whole),
        measured.aperture,
        measure(heads.shape).aperture,
        corner,
        brought(heads.scale, device),
    )


def _wanted_shape(plan: Plan, heads: Heads, at: Tensor) -> Tensor:
    """(B, K, 3) the shape that is wanted of each mouth, io.

    The frame's own with the planned aperture and width; or its slow part, with the lender's fast
    part.
    """
    avatar = plan.avatar
    bank, first, shape = avatar.bank, plan.first, heads.shape
    if avatar.expression is not None and bank is not None and first is not None:
        own = avatar.expression[plan.source[at]].to(shape.dtype)
        shape = own + expression.lent(bank.levelled, first, at, plan.fps)
    now = measure(shape)
    planned = plan.path.aperture if plan.drawn is None else plan.drawn
    aperture = planned[at].float()
    width = plan.path.width[at].float()
    if avatar.mode == "unit":
        drop = CHIN_PER_APERTURE * (aperture - now.aperture)
    else:
        width = expression.less_smile(width, shape, plan.near[at])
        sunk = plan.path.jaw[at].float() * (CHIN_PER_APERTURE / JAW_PER_APERTURE)
        drop = avatar.rest_jaw + sunk - now.jaw
    return under_lip(edit(shape, aperture, width, drop, purse=avatar.mode != "unit"))
