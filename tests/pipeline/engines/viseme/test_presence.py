"""A painted mouth fades where the face turns away or goes, and the report says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.jobs import (
    run,
    same,
)
from tests.pipeline.engines.viseme.puppet import Pose


def test_frames_without_a_face_pass_through_and_fade(tmp_path: Path) -> None:
    poses = puppet.talking(40)
    for n in range(15, 22):
        poses[n] = replace(poses[n], present=False)
    job = run(poses, tmp_path, 1.6, apertures=[0.0])
    assert all(same(job.before[n], job.after[n]) for n in range(15, 22))
    spans = [(s.kind, s.start_frame, s.end_frame) for s in job.finish.spans if s.kind == "no_face"]
    assert spans == [("no_face", 15, 22)]
    strength = job.plan.strength
    assert strength[5] == strength[32] == 1
    assert (strength[5:15].diff() <= 1e-6).all()
    assert (strength[22:32].diff() >= -1e-6).all()
    assert strength[14] < 0.5


def test_nothing_fades_towards_a_cut(tmp_path: Path) -> None:
    poses = puppet.talking(40)
    for n in range(15, 22):
        poses[n] = replace(poses[n], present=False)
    job = run(poses, tmp_path, 1.6, apertures=[0.0], cuts=(15, 22))
    strength = job.plan.strength
    assert (strength[:15] == 1).all()
    assert (strength[15:22] == 0).all()
    assert (strength[22:] == 1).all()
    job = run(poses, tmp_path, 1.6, apertures=[0.0], cuts=(22,))
    strength = job.plan.strength
    assert strength[14] < 0.5
    assert (strength[22:] == 1).all()


def test_profile_fades_out_between_35_and_40_degrees(tmp_path: Path) -> None:
    poses = [Pose(yaw=min(45.0, n)) for n in range(50)]
    job = run(poses, tmp_path, 2.0, apertures=[0.1])
    strength = job.plan.strength
    assert strength[25] == 1
    assert (strength[42:] == 0).all()
    assert (strength[25:].diff() <= 1e-6).all()
    assert all(same(job.before[n], job.after[n]) for n in range(42, 50))
    assert job.finish.spans[-1].kind == "profile"
    assert not any("output keep" in warning for warning in job.finish.warnings)


def test_an_output_of_which_most_is_the_reference_s_own_mouth_is_warned_about(
    tmp_path: Path,
) -> None:
    job = run([Pose(yaw=45.0)] * 20 + [Pose()] * 12, tmp_path, 1.2, apertures=[0.1])
    assert any("67% of the output keep" in warning for warning in job.finish.warnings)
