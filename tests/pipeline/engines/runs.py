"""The engines with networks, shrunken ones with the rule's weights, and whole runs of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from pipeline.engines.base import Finish, Reference
from pipeline.engines.musetalk.engine import MuseTalkEngine
from pipeline.engines.wav2lip.engine import Wav2LipEngine
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.timeline import Timeline
from pipeline.types import Frame
from tests.parity.rule import weights_for
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.musetalk.tiny import tiny_networks


def musetalk() -> MuseTalkEngine:
    return MuseTalkEngine(tiny_networks(), "cpu", fast=False, used=[])


def musetalk_fast() -> MuseTalkEngine:
    return MuseTalkEngine(tiny_networks(fast=True), "cpu", fast=True, used=[])


def wav2lip_network(side: int = 96) -> Wav2Lip:
    network = Wav2Lip(VARIANTS[side], width=1 / 8 if side == 96 else 1 / 32)
    network.load_state_dict(weights_for(network, "tiny"))
    return network.eval().requires_grad_(False)


def own_checkpoint(folder: Path, width: float = 1.0) -> Path:
    """Write a checkpoint as the authors' are: 140 MB at the published width."""
    network = Wav2Lip(VARIANTS[96], width)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "wav2lip_gan.pth"
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "global_step": 3}, path)
    return path


def wav2lip() -> Wav2LipEngine:
    return Wav2LipEngine(wav2lip_network(), "cpu", [])


def timeline_of(seconds: float, frames: int, fps: Fraction = Fraction(25)) -> Timeline:
    return Timeline.fit(Fraction(seconds).limit_denominator(1000), Fraction(25), frames, fps=fps)


@dataclass(frozen=True, slots=True)
class Run:
    """What went into a run, and what came out."""

    reference: Reference
    timeline: Timeline
    before: list[Frame]
    after: list[Frame]
    finish: Finish


def run(engine: Any, scratch: Path, seconds: float = 0.5, batch: int = 8, **clip: Any) -> Run:
    """Prepare, plan, generate in batches, finish."""
    reference = synthetic.reference(scratch, **clip)
    avatar = engine.prepare(reference, lambda tick: None)
    timeline = timeline_of(seconds, reference.video.frames)
    plan = engine.plan(avatar, synthetic.speech(seconds), timeline)
    sources = [timeline.source(n) for n in range(timeline.frames)]
    frames = list(reference.frames(sources))
    made: list[Frame] = []
    for start in range(0, len(frames), batch):
        outputs = range(start, min(start + batch, len(frames)))
        made += engine.generate(plan, frames[start : start + batch], outputs)
    return Run(reference, timeline, frames, made, engine.finish(plan))


def same(a: Frame, b: Frame) -> bool:
    return all(torch.equal(x, y) for x, y in ((a.y, b.y), (a.u, b.u), (a.v, b.v)))
