"""The plan of one job: what the mouth of every output frame is to do, and who lends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engines.fade import SpanLog
from pipeline.engines.viseme.avatar import Avatar
from pipeline.engines.viseme.drawn import drawn
from pipeline.engines.viseme.expression import keep_width, nearness
from pipeline.engines.viseme.layer import evening
from pipeline.engines.viseme.presence import strength
from pipeline.engines.viseme.select import Wanted, select
from pipeline.speech.mouth import plan_mouth
from pipeline.speech.mouth_range import MouthPath
from pipeline.speech.targets import sample

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech
    from pipeline.timeline import Timeline

FADE = (0.75, 0.25)
"""Share of the newer unit on the first frame after a jump, and on the last frame before it."""


@dataclass(slots=True)
class Tally:
    """What was seen while rendering."""

    painted: int = 0
    units: set[int] = field(default_factory=set)
    inner_own: int = 0
    inner_lent: int = 0
    inner_painted: int = 0


@dataclass(slots=True)
class Plan:
    """One job. Tensors are (F,), one entry per output frame."""

    avatar: Avatar
    source: Tensor
    """int64 grid frame under the output."""
    path: MouthPath
    closed: Tensor
    """bool, the lips must touch."""
    near: Tensor
    """0 … 1, how near that is: smiles are less there (`expression`)."""
    strength: Tensor
    """0 … 1, how much of the painted mouth is shown."""
    fps: Fraction
    """Of the output."""
    drawn: Tensor | None = None
    """Aperture that is drawn, io, where it is not the path's: lent mouths (`drawn`)."""
    first: Tensor | None = None
    """int64 row of the bank that lends the mouth, or its inside."""
    second: Tensor | None = None
    """int64 row that is mixed into the skin around a jump."""
    share: Tensor | None = None
    """0 … 0.5 share of `second`."""
    even: int | None = None
    """Of `layer.inside_of`: where the reference rests with its teeth bare and never speaks. Then
    speech half shuts them away; of others, what is shut is seldom seen, and small faces were read
    less surely by it."""
    log: SpanLog = field(default_factory=SpanLog)
    tally: Tally = field(default_factory=Tally)


def planned(avatar: Avatar, speech: Speech, timeline: Timeline) -> Plan:
    """Plan a whole speech."""
    curve = avatar.fit.apply(speech) if avatar.fit is not None else plan_mouth(speech)
    targets = sample(curve, timeline.fps, timeline.frames)
    path = avatar.range.path(targets)
    source = torch.tensor([timeline.source(n) for n in range(timeline.frames)])
    known = source.clamp(max=len(avatar.usable) - 1)
    usable = avatar.usable[known] & (source == known)
    if avatar.expression is not None:
        path = keep_width(path, avatar.expression[known], avatar.range, timeline.fps)
    shot = avatar.reference.track.cut.cumsum(0)[known]
    shown = strength(usable, avatar.yaw[known], shot)
    near = nearness(targets.closed, timeline.fps)
    plan = Plan(avatar, source, path, targets.closed, near, shown, timeline.fps)
    choose_lenders(plan)
    return plan


def choose_lenders(plan: Plan) -> None:
    """Choose the units for the planned path."""
    avatar, path = plan.avatar, plan.path
    if avatar.bank is None or avatar.join is None:
        return
    known = plan.source.clamp(max=len(avatar.usable) - 1)
    weight = (plan.strength > 0).float()
    wanted = Wanted(
        path.aperture.float(),
        path.width.float(),
        avatar.pose[known],
        avatar.complexion[known],
        weight,
    )
    units = avatar.bank.units
    plan.first = select(units, wanted, avatar.join)
    plan.second, plan.share = crossfades(plan.first, units.frame, units.run)
    if avatar.mode == "unit":
        plan.drawn = drawn(wanted.aperture, units.aperture[plan.first])
    if avatar.mode == "warp+bank":
        plan.even = evening(avatar.bank.lines)


def crossfades(first: Tensor, frame: Tensor, run: Tensor) -> tuple[Tensor, Tensor]:
    """Who else is seen around jumps: rows of the bank and their shares, each (F,).

    Args:
        first: (F,) rows of the bank.
        frame: (C,) grid index of each row.
        run: (C,) its shot.
    """
    second, share = first.tolist(), [0.0] * len(first)
    grid, shot, rows = frame.tolist(), run.tolist(), first.tolist()

    def neighbour(row: int, step: int) -> int:
        to = row + step
        inside = 0 <= to < len(grid)
        near = inside and grid[to] - grid[row] == step and shot[to] == shot[row]
        return to if near else row

    for n in range(1, len(rows)):
        before, here = rows[n - 1], rows[n]
        if abs(grid[here] - grid[before]) <= 2 and shot[here] == shot[before]:
            continue
        second[n], share[n] = neighbour(before, 1), 1 - FADE[0]
        if share[n - 1] == 0:
            second[n - 1], share[n - 1] = neighbour(here, -1), FADE[1]
    return torch.tensor(second, dtype=torch.int64), torch.tensor(share)
