"""The engine `viseme` through its whole protocol, on a drawn face and real sound processing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.errors import NoFace
from pipeline.reading.audio import Speech
from pipeline.speech.mouth_range import MouthPath
from pipeline.timeline import Timeline
from pipeline.types import Tick
from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.jobs import (
    MODES,
    planes,
    run,
    same,
)
from tests.pipeline.engines.viseme.puppet import Pose


@MODES
def test_mode_follows_from_what_the_reference_shows(
    poses: list[Pose], mode: str, tmp_path: Path
) -> None:
    job = run(poses, tmp_path, 0.4)
    assert job.finish.quality["mode"] == mode
    assert job.finish.quality["painted_frames"] == len(job.after) == 10
    lent = job.plan.first is not None
    assert 0 <= job.finish.quality["jumps"] < 10 if lent else job.finish.quality["jumps"] == 0


@MODES
def test_result_does_not_depend_on_batches_or_threads(
    poses: list[Pose], mode: str, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run(poses, tmp_path, 0.6, batch=1)
        torch.set_num_threads(4)
        eight = run(poses, tmp_path, 0.6, batch=8)
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(one.after, eight.after, strict=True):
        for x, y in zip(planes(a), planes(b), strict=True):
            assert (x.int() - y.int()).abs().max() <= 1


def test_no_usable_face_is_an_error(tmp_path: Path) -> None:
    reference = puppet.reference([replace(p, present=False) for p in puppet.silent(5)], tmp_path)
    with pytest.raises(NoFace, match="5 frames"):
        VisemeEngine("cpu", []).prepare(reference, lambda tick: None)


def test_a_still_picture_moves_its_mouth(tmp_path: Path) -> None:
    job = run([Pose()], tmp_path, 0.6, apertures=[0.0, 0.12])
    assert job.finish.quality["painted_frames"] == 15
    assert not same(job.after[6], job.after[7])


def test_still_picture_blinks_and_a_video_does_not(tmp_path: Path) -> None:
    def eyes(poses: list[Pose], n: int) -> torch.Tensor:
        job = run(poses, tmp_path, 2.0, apertures=[0.0])
        return (job.after[n].y.int() - job.before[n].y.int())[100:180, 120:280].abs()

    assert eyes([Pose()], 40).max() > 40
    assert eyes(puppet.silent(60), 40).max() <= 2


@pytest.mark.parametrize("seconds", [0.03, 0.1])
def test_the_shortest_speech_gives_a_frame_at_least(seconds: float, tmp_path: Path) -> None:
    job = run(puppet.talking(), tmp_path, seconds)
    assert len(job.after) == len(job.before) >= 1


def test_small_face_is_warned_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(puppet, "IO", 44.0)
    job = run(puppet.talking(50), tmp_path, 0.2)
    assert any("small" in warning for warning in job.finish.warnings)


@pytest.mark.slow
def test_bank_and_points_stay_bounded_on_a_long_reference(tmp_path: Path) -> None:
    job = run(puppet.talking(900), tmp_path, 0.2)
    bank = job.plan.avatar.bank
    assert bank is not None
    assert len(bank) <= 700
    assert job.finish.quality["bank_frames"] == len(bank)
    assert job.reference.track.most_at_once < 600  # type: ignore[attr-defined]


def test_progress_is_told_and_may_stop_the_work(tmp_path: Path) -> None:
    seen: list[Tick] = []
    reference = puppet.reference(puppet.talking(45), tmp_path)
    VisemeEngine("cpu", []).prepare(reference, seen.append)
    assert seen[-1].done == seen[-1].total == 45

    def stop(tick: Tick) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        VisemeEngine("cpu", []).prepare(reference, stop)


def test_facts_name_the_pixels_and_the_models() -> None:
    facts = VisemeEngine("cpu", []).facts
    assert facts.name == "viseme"
    assert "mediapipe" in facts.revision


def test_silence_closes_the_mouth_of_somebody_who_talks(tmp_path: Path) -> None:
    reference = puppet.reference(puppet.talking(), tmp_path)
    engine = VisemeEngine("cpu", [])
    avatar = engine.prepare(reference, lambda tick: None)
    quiet = Speech(torch.zeros(16000), Fraction(1))
    path: MouthPath = engine.plan(avatar, quiet, Timeline.fit(Fraction(1), Fraction(25), 60)).path
    assert path.aperture.max() < 0.02
