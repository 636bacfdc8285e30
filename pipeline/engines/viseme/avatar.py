"""A reference, prepared: who it is, how the mouth moves, and which frames may lend theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit, pack, unpack
from pipeline.engines.base import Reference
from pipeline.engines.viseme import bank as banks
from pipeline.engines.viseme import tracked
from pipeline.engines.viseme.bank import Bank
from pipeline.engines.viseme.canvas import Box, Canvas
from pipeline.engines.viseme.expression import slow
from pipeline.engines.viseme.features import LEFT, RIGHT, Mouths, measure
from pipeline.engines.viseme.heads import Heads, Skull
from pipeline.engines.viseme.points import JAW, NOSE_BASE, places
from pipeline.engines.viseme.presence import YAW_FULL
from pipeline.engines.viseme.select import joins
from pipeline.engines.viseme.shape import CHIN_PER_APERTURE
from pipeline.engines.viseme.steady import steady, steady_slip
from pipeline.errors import NoFace
from pipeline.speech.fit import PersonFit, fit_person
from pipeline.speech.range import MouthRange
from pipeline.types import OnTick
from schemas.codes import Stage

Mode = Literal["unit", "warp+bank", "warp+synth"]

MARGIN = 0.28
"""Of the region around the chin, the jaw and the base of the nose, io."""
LARGEST = 2.4
"""Of the region's sides, io."""
BOX_WIDTH, BOX_HEIGHT = 1.05, 0.72
"""Of the box around the lips, io."""
MISFIT = 2.2
"""A mesh that fits the skull this many times worse than usual lends nothing."""
OPEN_LEAST = 0.05
"""Aperture from which a frame can lend the inside of its mouth, io."""
OPEN_FRAMES, OPEN_MOST = 6, 48


@dataclass(frozen=True, slots=True)
class Avatar:
    """Everything that depends on the reference alone; never changed."""

    reference: Reference
    run: Tensor
    """(N,) shot numbers."""
    skull: Skull
    canvas: Canvas
    range: MouthRange
    rest_jaw: float
    mode: Mode
    bank: Bank | None
    """Frames that lend whole mouths (`unit`) or only the inside (`warp+bank`)."""
    join: Tensor | None
    """(C, C) cost of joining them."""
    fit: PersonFit | None
    pose: Tensor
    """(N, 3) yaw, pitch and roll against the clip's mean head, degrees."""
    turn: Tensor
    """(N, 3, 3) how each frame's head is turned, steady over time."""
    slip: Tensor
    """(N, 3) io by which the base of the nose lies off its place on the skull, likewise."""
    yaw: Tensor
    """(N,) degrees away from the camera."""
    usable: Tensor
    """(N,) bool."""
    expression: Tensor | None
    """(N, K, 3) float16 io, the slow part of each frame's mouth (`unit`)."""


def parts_of(avatar: Avatar) -> Parts:
    """What to keep of an avatar; its reference is the next job's own."""
    return pack(avatar, skip=("reference",))


def restored(parts: Parts, reference: Reference, device: str) -> Avatar:
    """The avatar of a reference from its parts.

    Raises:
        Unfit: they are not those of an avatar of this track.
    """
    avatar = unpack(Avatar, parts, device, {"reference": reference})
    frames = len(reference.track.usable)
    if any(len(each) != frames for each in (avatar.run, avatar.pose, avatar.yaw, avatar.usable)):
        raise Unfit(f"not of a track of {frames} frames")
    return avatar


@dataclass(frozen=True, slots=True)
class _Seen:
    """All usable frames, measured."""

    frames: Tensor
    heads: Heads
    mouths: Mouths


def prepare(reference: Reference, device: str, on_tick: OnTick) -> Avatar:
    """Measure a tracked reference and fill its bank.

    Raises:
        NoFace: no frame has a usable face.
    """
    track = reference.track
    usable = track.usable.bool()
    if not bool(usable.any()):
        raise NoFace(f"none of the {len(usable)} frames shows a usable face", stage=Stage.TRACK)
    run = tracked.shots(track)
    skull = tracked.clip_skull(track)
    seen = _measure(reference, skull)
    canvas = _canvas(seen, device)
    pose = torch.zeros(len(usable), 3)
    pose[seen.frames] = seen.heads.angles()
    turn = torch.eye(3).repeat(len(usable), 1, 1)
    turn[seen.frames] = seen.heads.rotation
    turn = steady(turn, run)
    slip = torch.zeros(len(usable), 3)
    slip[seen.frames] = seen.heads.slip
    slip = steady_slip(slip, run)
    yaw = track.yaw.float()
    misfit = seen.heads.misfit
    good = (yaw[seen.frames].abs() <= YAW_FULL) & (misfit <= MISFIT * misfit.median() + 0.002)
    mouth, rest_jaw = _range(seen, good, len(usable))
    mode, chosen = _mode(seen, good, mouth, canvas)
    bank = join = None
    if len(chosen):
        frames = seen.frames[chosen]
        bank = banks.fill(
            canvas,
            frames,
            seen.heads[chosen],
            pose[frames],
            run[frames],
            reference.frames,
            device,
            on_tick,
        )
        join = joins(bank.units)
    fit = expression = None
    if mode == "unit":
        fit = _fit(reference, seen, len(usable))
        expression = slow(seen.heads.shape, seen.frames, run, reference.video.fps)
    return Avatar(
        reference=reference,
        run=run,
        skull=skull,
        canvas=canvas,
        range=mouth,
        rest_jaw=rest_jaw,
        mode=mode,
        bank=bank,
        join=join,
        fit=fit,
        pose=pose,
        turn=turn,
        slip=slip,
        yaw=yaw,
        usable=usable,
        expression=expression,
    )


def _measure(reference: Reference, skull: Skull) -> _Seen:
    frames, heads = [], []
    for part, found in tracked.all_heads(reference.track, skull):
        frames.append(part)
        heads.append(found)
    whole = Heads.join(heads)
    return _Seen(torch.cat(frames), whole, measure(whole.shape))


def _canvas(seen: _Seen, device: str) -> Canvas:
    """The region that holds every frame's lower face, and its box around the lips."""
    points = seen.heads.project(seen.heads.shape)
    middle = (points[:, LEFT] + points[:, RIGHT]) / 2
    need = points[:, places(NOSE_BASE, JAW[1:-1])] - middle[:, None]
    io = float(seen.heads.scale.median())
    margin, most = MARGIN * io, LARGEST * io / 2
    low = (-need.amin(1)).quantile(0.98, dim=0) + margin
    high = need.amax(1).quantile(0.98, dim=0) + margin
    left, top = (min(float(side), most) for side in low)
    right, bottom = (min(float(side), most) for side in high)
    # The box must lie inside the region, and lips may rise above the base of the nose's margin.
    left, right = max(left, 0.6 * io), max(right, 0.6 * io)
    top, bottom = max(top, 0.45 * io), max(bottom, 0.5 * io)
    width, height = _multiple(left + right), _multiple(top + bottom)
    x, y = _even(left + (width - left - right) / 2), _even(top + (height - top - bottom) / 2)
    box_w, box_h = _even(BOX_WIDTH * io), _even(BOX_HEIGHT * io)
    box_x, box_y = _even(x - box_w / 2), _even(y - box_h * 0.45)
    box_x, box_y = max(0, box_x), max(0, box_y)
    lips = Box(box_x, box_y, min(box_w, width - box_x), min(box_h, height - box_y))
    trim = _even(0.9 * margin)
    face = Box(
        max(0, x - _even(left)) + trim,
        max(0, y - _even(top)) + trim,
        _even(left + right) - 2 * trim,
        _even(top + bottom) - 2 * trim,
    )
    return Canvas.make((width, height), (x, y), io, lips, face, device)


def _range(seen: _Seen, good: Tensor, total: int) -> tuple[MouthRange, float]:
    aperture, width = torch.zeros(total), torch.zeros(total)
    usable = torch.zeros(total, dtype=torch.bool)
    aperture[seen.frames], width[seen.frames] = seen.mouths.aperture, seen.mouths.width
    usable[seen.frames] = good
    mouth = MouthRange.from_track(aperture, width, usable)
    jaw = seen.mouths.jaw - CHIN_PER_APERTURE * seen.mouths.aperture
    return mouth, float(jaw.median())


def _mode(seen: _Seen, good: Tensor, mouth: MouthRange, canvas: Canvas) -> tuple[Mode, Tensor]:
    """The mode, and rows of `seen` for the bank."""
    rows = torch.nonzero(good).flatten()
    if mouth.talks:
        return "unit", banks.thin(rows, banks.limit(canvas))
    opened = rows[seen.mouths.aperture[rows] > OPEN_LEAST]
    if len(opened) < OPEN_FRAMES:
        return "warp+synth", opened[:0]
    widest = seen.mouths.aperture[opened].argsort(descending=True)
    most = min(OPEN_MOST, banks.limit(canvas))
    pick = widest[torch.linspace(0, len(widest) - 1, min(most, len(widest))).long()]
    return "warp+bank", opened[pick].sort().values


def _fit(reference: Reference, seen: _Seen, total: int) -> PersonFit | None:
    if reference.speech is None:
        return None
    columns = [torch.zeros(total) for _ in range(3)]
    for column, values in zip(
        columns, (seen.mouths.aperture, seen.mouths.width, seen.mouths.jaw), strict=True
    ):
        column[seen.frames] = values
    usable = torch.zeros(total, dtype=torch.bool)
    usable[seen.frames] = True
    aperture, width, jaw = columns
    return fit_person(reference.speech, aperture, width, jaw, usable, reference.video.fps)


def _multiple(size: float) -> int:
    return -(-int(size) // 16) * 16


def _even(at: float) -> int:
    return round(at / 2) * 2
