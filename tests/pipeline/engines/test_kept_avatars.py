"""Every engine makes the same pixels to the bit from an avatar that went through a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.avatars.file import read_parts, write_parts
from pipeline.avatars.parts import Parts, Unfit
from pipeline.engines.base import Reference
from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.reading.audio import Speech
from pipeline.speech.fit import PersonFit
from pipeline.speech.ridge import Ridge
from pipeline.timeline import Timeline
from pipeline.types import Frame
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.runs import musetalk, musetalk_fast, wav2lip
from tests.pipeline.engines.viseme import puppet

SECONDS = 0.24


@dataclass(frozen=True, slots=True)
class Case:
    """One engine on one kind of reference."""

    engine: Callable[[], Any]
    reference: Callable[[Path], Reference]


def _viseme() -> VisemeEngine:
    return VisemeEngine("cpu", [])


def _speech() -> Speech:
    samples = synthetic.speech(SECONDS).samples
    return Speech(samples, Fraction(len(samples), 16000))


def _opened() -> list[puppet.Pose]:
    return [replace(pose, aperture=0.07) for pose in puppet.silent()]


CASES = {
    "viseme unit": Case(_viseme, lambda p: puppet.reference(puppet.talking(), p)),
    "viseme bank": Case(_viseme, lambda p: puppet.reference(_opened(), p)),
    "viseme synth": Case(_viseme, lambda p: puppet.reference(puppet.silent(), p)),
    "viseme still": Case(_viseme, lambda p: puppet.reference(puppet.silent(1), p)),
    "musetalk": Case(musetalk, lambda p: synthetic.reference(p, frames=6, faceless=[2])),
    "musetalk-fast": Case(musetalk_fast, lambda p: synthetic.reference(p, frames=6)),
    "wav2lip": Case(wav2lip, lambda p: synthetic.reference(p, frames=6, faceless=[2])),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def through_file(parts: Parts, folder: Path) -> Parts:
    path = folder / "kept.safetensors"
    write_parts(path, {"k": 1}, parts)
    found = read_parts(path, {"k": 1})
    assert found is not None
    return found


def rendered(engine: Any, avatar: Any, reference: Reference) -> list[Frame]:
    timeline = Timeline.fit(Fraction(SECONDS), reference.video.fps, reference.video.frames)
    plan = engine.plan(avatar, _speech(), timeline)
    frames = list(reference.frames(timeline.source(n) for n in range(timeline.frames)))
    made: list[Frame] = engine.generate(plan, frames, range(len(frames)))
    assert engine.finish(plan).quality["painted_frames"] > 0
    return made


@EVERY
def test_a_kept_avatar_makes_the_same_pixels_to_the_bit(case: Case, tmp_path: Path) -> None:
    engine, reference = case.engine(), case.reference(tmp_path)
    parts = engine.parts(engine.prepare(reference, lambda tick: None))
    first = rendered(engine, engine.restore(parts, reference), reference)
    kept = engine.restore(through_file(parts, tmp_path), case.reference(tmp_path))
    second = rendered(case.engine(), kept, reference)
    for a, b in zip(first, second, strict=True):
        assert all(torch.equal(x, y) for x, y in ((a.y, b.y), (a.u, b.u), (a.v, b.v)))


@EVERY
def test_parts_of_another_track_or_of_nothing_are_refused(case: Case, tmp_path: Path) -> None:
    engine, reference = case.engine(), case.reference(tmp_path)
    parts = engine.parts(engine.prepare(reference, lambda tick: None))
    with pytest.raises(Unfit):
        engine.restore(Parts(), reference)
    longer = puppet.reference(puppet.silent(3), tmp_path, height=20, width=20)
    with pytest.raises(Unfit):
        engine.restore(parts, longer)


def test_the_persons_own_mouth_is_kept_with_the_avatar(tmp_path: Path) -> None:
    engine = _viseme()
    reference = puppet.reference(puppet.talking(), tmp_path)
    avatar = engine.prepare(reference, lambda tick: None)
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    ridge = Ridge(draw[:, 0].clone(), draw, draw[0])
    fit = PersonFit(ridge, torch.rand(3), torch.ones(3), 0.5, 0.4, 0.02, 4.5)
    parts = through_file(engine.parts(replace(avatar, fit=fit)), tmp_path)
    kept = engine.restore(parts, reference).fit
    assert kept is not None
    assert torch.equal(kept.ridge.weights, ridge.weights)
    assert torch.equal(kept.blend, fit.blend)
    assert (kept.r_fit, kept.r_table, kept.offset_s, kept.seconds) == (0.5, 0.4, 0.02, 4.5)
