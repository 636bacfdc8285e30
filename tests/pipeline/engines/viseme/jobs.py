"""Whole jobs of the engine `viseme` on a drawn face, and what is seen in their frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.engines.base import Finish, Reference
from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.engines.viseme.plan import Plan, choose_lenders
from pipeline.reading.audio import Speech
from pipeline.timeline import Timeline
from pipeline.types import Frame
from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.puppet import Pose

MODES = pytest.mark.parametrize(
    ("poses", "mode"),
    [
        (puppet.talking(), "unit"),
        (puppet.silent(), "warp+synth"),
        ([replace(pose, aperture=0.07) for pose in puppet.silent()], "warp+bank"),
    ],
    ids=["unit", "synth", "bank"],
)


def speech(seconds: float) -> Speech:
    """Tones that come and go like syllables."""
    count = max(1, int(seconds * 16000))
    time = torch.arange(count) / 16000
    voice = sum(torch.sin(2 * math.pi * 140 * k * time) / k for k in range(1, 9))
    return Speech(0.2 * voice * torch.sin(math.pi * 3 * time).abs(), Fraction(count, 16000))


@dataclass(slots=True)
class Job:
    """One finished job, and what it was made from."""

    engine: VisemeEngine
    reference: Reference
    plan: Plan
    before: list[Frame]
    after: list[Frame]
    finish: Finish


def run(
    poses: list[Pose],
    scratch: Path,
    seconds: float = 1.0,
    batch: int = 8,
    apertures: list[float] | None = None,
    **clip: Any,
) -> Job:
    """Prepare, plan, generate in batches, finish. `apertures` overrides what the speech asks."""
    reference = puppet.reference(poses, scratch, **clip)
    engine = VisemeEngine("cpu", [])
    avatar = engine.prepare(reference, lambda tick: None)
    sound = speech(seconds)
    timeline = Timeline.fit(sound.duration, reference.video.fps, reference.video.frames)
    plan = engine.plan(avatar, sound, timeline)
    if apertures is not None:
        wanted = torch.tensor([apertures[n % len(apertures)] for n in range(timeline.frames)])
        plan.path = replace(plan.path, aperture=wanted)
        choose_lenders(plan)
    before = list(reference.frames(timeline.source(n) for n in range(timeline.frames)))
    after: list[Frame] = []
    for start in range(0, len(before), batch):
        stop = min(start + batch, len(before))
        after += engine.generate(plan, before[start:stop], range(start, stop))
    return Job(engine, reference, plan, before, after, engine.finish(plan))


def planes(frame: Frame) -> list[torch.Tensor]:
    return [frame.y, frame.u, frame.v]


def same(a: Frame, b: Frame) -> bool:
    return all(torch.equal(x, y) for x, y in zip(planes(a), planes(b), strict=True))


def inside_share(job: Job, n: int) -> float:
    """How much of the face's middle is neither skin nor lip, io."""
    frame = job.after[n]
    luma = frame.y.float()
    pose = job.reference.track.poses[frame.index]  # type: ignore[attr-defined]
    x, y = int(pose.x), int(pose.y + 0.42 * puppet.IO)
    column = luma[y - 30 : y + 50, x - 4 : x + 5].mean(1)
    skin, lip = ((column - color[0]).abs() < 12 for color in (puppet.SKIN, puppet.LIP))
    return float((~skin & ~lip).float().mean()) * 80 / puppet.IO


def lip_rows(job: Job) -> torch.Tensor:
    """(F,) the middle of all lip in each output frame, pixels."""
    lips = [(frame.v.float() - puppet.SKIN[2]).clamp_min(0) for frame in job.after]
    rows = torch.arange(lips[0].shape[0]) * 2.0
    return torch.stack([(lip.sum(1) * rows).sum() / lip.sum() for lip in lips])
