"""The engine `viseme` through its whole protocol, on a drawn face and real sound processing."""

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
from pipeline.engines.viseme.score import Score, cast
from pipeline.errors import NoFace
from pipeline.reading.audio import Speech
from pipeline.speech.range import MouthPath
from pipeline.timeline import Timeline
from pipeline.types import Frame, Tick
from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.puppet import Pose


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
    plan: Score
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
        cast(plan)
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


MODES = pytest.mark.parametrize(
    ("poses", "mode"),
    [
        (puppet.talking(), "unit"),
        (puppet.silent(), "warp+synth"),
        ([replace(pose, aperture=0.07) for pose in puppet.silent()], "warp+bank"),
    ],
    ids=["unit", "synth", "bank"],
)


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
def test_nothing_changes_outside_the_region(poses: list[Pose], mode: str, tmp_path: Path) -> None:
    job = run(poses, tmp_path, 0.4, apertures=[0.1, 0.0, 0.14])
    canvas = job.plan.avatar.canvas
    changed = False
    for before, after in zip(job.before, job.after, strict=True):
        points = job.reference.track.points(before.index, before.index + 1)[0]
        mouth = (points[61, :2] + points[291, :2]) / 2
        x, y = canvas.origin(mouth[None])[0].tolist()
        for step, a, b in zip((1, 2, 2), planes(before), planes(after), strict=True):
            difference = a != b
            changed |= bool(difference.any())
            rows = slice((y - 2) // step, (y + canvas.height + 2) // step)
            columns = slice((x - 2) // step, (x + canvas.width + 2) // step)
            difference[rows, columns] = False
            assert not difference.any()
    assert changed


@MODES
def test_border_of_the_region_shows_no_seam(poses: list[Pose], mode: str, tmp_path: Path) -> None:
    job = run(poses, tmp_path, 0.24, apertures=[0.12])
    canvas = job.plan.avatar.canvas
    for before, after in zip(job.before, job.after, strict=True):
        points = job.reference.track.points(before.index, before.index + 1)[0]
        x, y = canvas.origin(((points[61, :2] + points[291, :2]) / 2)[None])[0].tolist()
        rows, columns = slice(y, y + canvas.height), slice(x, x + canvas.width)
        a, b = before.y[rows, columns].float(), after.y[rows, columns].float()
        border = torch.cat([(a - b)[0], (a - b)[-1], (a - b)[:, 0], (a - b)[:, -1]])
        assert border.abs().max() <= 2


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


@MODES
def test_mouth_opens_and_closes_as_planned(poses: list[Pose], mode: str, tmp_path: Path) -> None:
    job = run(poses, tmp_path, 0.6, apertures=[0.0, 0.0, 0.0, 0.14, 0.14, 0.14])
    closed = [inside_share(job, n) for n in range(15) if n % 6 == 1]
    opened = [inside_share(job, n) for n in range(15) if n % 6 == 4]
    # Beside the inside: edges of the lips, and the line between them. The speech rounds the mouth.
    assert max(closed) < 0.06 < min(opened)


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


def test_no_usable_face_is_an_error(tmp_path: Path) -> None:
    reference = puppet.reference([replace(p, present=False) for p in puppet.silent(5)], tmp_path)
    with pytest.raises(NoFace, match="5 frames"):
        VisemeEngine("cpu", []).prepare(reference, lambda tick: None)


def test_still_picture_speaks(tmp_path: Path) -> None:
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
def test_shortest_speech(seconds: float, tmp_path: Path) -> None:
    job = run(puppet.talking(), tmp_path, seconds)
    assert len(job.after) == len(job.before) >= 1


def test_face_at_the_picture_s_edge(tmp_path: Path) -> None:
    poses = [replace(p, x=30.0, y=240.0) for p in puppet.silent(6)]
    job = run(poses, tmp_path, 0.24, apertures=[0.1])
    assert all(a.y.shape == b.y.shape for a, b in zip(job.before, job.after, strict=True))
    assert not same(job.before[2], job.after[2])


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


def test_a_lent_mouth_keeps_still_while_points_under_the_nose_shake(tmp_path: Path) -> None:
    still = [replace(pose, yaw=0.0, x=200.0) for pose in puppet.talking()]
    shaken = [replace(pose, nose=0.03 * (-1) ** n) for n, pose in enumerate(still)]
    bends = []
    for poses in (still, shaken):
        rows = lip_rows(run(poses, tmp_path, 0.5, apertures=[0.08]))
        bends.append(float(rows.diff(n=2).abs().mean()))
    assert bends[1] < bends[0] + 2  # pixels; as tracked it would bend by six more


def test_the_frames_own_skin_under_the_nose_stays_in_place_while_the_points_on_it_shake(
    tmp_path: Path,
) -> None:
    still = [replace(pose, yaw=0.0, x=200.0) for pose in puppet.talking()]
    shaken = [replace(pose, nose=0.03 * (-1) ** n) for n, pose in enumerate(still)]
    job = run(shaken, tmp_path, 0.5, apertures=[0.08])
    x, y = int(still[0].x), int(still[0].y + 0.15 * puppet.IO)
    nose = slice(y - 8, y + 1), slice(x - 20, x + 21)
    moved = [
        (after.y[nose].float() - before.y[nose].float()).abs().mean()
        for before, after in zip(job.before, job.after, strict=True)
    ]
    assert max(moved) < 0.5  # of a level; grain of 6 that goes along differs by more


def test_a_mouth_that_never_opened_shows_a_dark_slit_where_one_is_asked_for(tmp_path: Path) -> None:
    job = run(puppet.silent(), tmp_path, 0.5, apertures=[0.016])
    assert job.plan.avatar.mode == "warp+synth"
    darkest = []
    for frame in job.after[2:-2]:
        pose = job.reference.track.poses[frame.index]  # type: ignore[attr-defined]
        x, y = int(pose.x), int(pose.y + 0.42 * puppet.IO)
        darkest.append(float(frame.y[y - 6 : y + 7, x - 10 : x + 11].float().mean(1).min()))
    assert max(darkest) < puppet.LIP[0] - 15
