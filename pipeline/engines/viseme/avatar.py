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
from pipeline.engines.viseme.canvas import Canvas
from pipeline.engines.viseme.expression import slow
from pipeline.engines.viseme.features import Mouths, measure
from pipeline.engines.viseme.heads import Heads, Skull
from pipeline.engines.viseme.presence import YAW_FULL
from pipeline.engines.viseme.region import region_of
from pipeline.engines.viseme.select import joins
from pipeline.engines.viseme.shape import CHIN_PER_APERTURE
from pipeline.engines.viseme.steady import steady, steady_complexion, steady_slip
from pipeline.errors import NoFace
from pipeline.speech.fit import PersonFit, fit_person
from pipeline.speech.mouth_range import MouthRange
from pipeline.types import OnTick
from schemas.codes import Stage

Mode = Literal["unit", "warp+bank", "warp+synth"]

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
    complexion: Tensor
    """(N, D) of each frame, steady over time."""
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
    """All usable frames of N, measured."""

    frames: Tensor
    """Their grid indices."""
    total: int
    """N."""
    heads: Heads
    mouths: Mouths

    def spread(self, values: Tensor, empty: Tensor | float = 0.0) -> Tensor:
        """(N, …) float32: values of the usable frames, `empty` elsewhere."""
        out = torch.zeros(self.total, *values.shape[1:]) + empty
        out[self.frames] = values
        return out


def prepare(reference: Reference, device: str, on_tick: OnTick) -> Avatar:
    """Measure a tracked reference and fill its bank.

    Raises:
        NoFace: no frame has a usable face.
    """
    track = reference.track
    usable = track.usable.bool()
    if not bool(usable.any()):
        raise NoFace(f"none of the {len(usable)} frames shows a usable face", stage=Stage.TRACK)
    run, yaw = tracked.shots(track), track.yaw.float()
    skull = tracked.clip_skull(track)
    seen = _measure(reference, skull)
    canvas = region_of(seen.heads, device)
    pose = seen.spread(seen.heads.angles())
    good = _fitting(seen, yaw)
    mouth, rest_jaw = _range(seen, good)
    mode, chosen = _mode(seen, good, mouth, canvas)
    fps, lends = reference.video.fps, mode == "unit"
    complexion = steady_complexion(track.complexion.float(), seen.frames, run, fps)
    bank = None
    if len(chosen):
        at = seen.frames[chosen]
        lenders = banks.Lenders(at, seen.heads[chosen], pose[at], run[at], complexion[at])
        bank = banks.fill(canvas, lenders, reference.frames, on_tick)
    return Avatar(
        reference=reference,
        run=run,
        skull=skull,
        canvas=canvas,
        range=mouth,
        rest_jaw=rest_jaw,
        mode=mode,
        bank=bank,
        join=joins(bank.units) if bank is not None else None,
        fit=_fit(reference, seen) if lends else None,
        pose=pose,
        turn=steady(seen.spread(seen.heads.rotation, torch.eye(3)), run),
        slip=steady_slip(seen.spread(seen.heads.slip), run),
        yaw=yaw,
        usable=usable,
        complexion=complexion,
        expression=slow(seen.heads.shape, seen.frames, run, fps) if lends else None,
    )


def _measure(reference: Reference, skull: Skull) -> _Seen:
    frames, heads = [], []
    for part, found in tracked.all_heads(reference.track, skull):
        frames.append(part)
        heads.append(found)
    whole = Heads.join(heads)
    total = len(reference.track.usable)
    return _Seen(torch.cat(frames), total, whole, measure(whole.shape))


def _fitting(seen: _Seen, yaw: Tensor) -> Tensor:
    """Which of the usable frames face the camera and have a mesh that fits the skull; bool."""
    misfit = seen.heads.misfit
    return (yaw[seen.frames].abs() <= YAW_FULL) & (misfit <= MISFIT * misfit.median() + 0.002)


def _range(seen: _Seen, good: Tensor) -> tuple[MouthRange, float]:
    """How far the mouth goes, and where the jaw rests, io."""
    aperture, width = seen.spread(seen.mouths.aperture), seen.spread(seen.mouths.width)
    mouth = MouthRange.from_track(aperture, width, seen.spread(good.float()) > 0)
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


def _fit(reference: Reference, seen: _Seen) -> PersonFit | None:
    """How this person speaks, by the reference's own sound."""
    if reference.speech is None:
        return None
    mouths = seen.mouths
    aperture, width, jaw = map(seen.spread, (mouths.aperture, mouths.width, mouths.jaw))
    usable = seen.spread(torch.ones(len(seen.frames))) > 0
    return fit_person(reference.speech, aperture, width, jaw, usable, reference.video.fps)
