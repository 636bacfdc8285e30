"""What is painted on a drawn face, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.jobs import (
    MODES,
    inside_share,
    lip_rows,
    planes,
    run,
    same,
)
from tests.pipeline.engines.viseme.puppet import Pose


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
def test_mouth_opens_and_closes_as_planned(poses: list[Pose], mode: str, tmp_path: Path) -> None:
    job = run(poses, tmp_path, 0.6, apertures=[0.0, 0.0, 0.0, 0.14, 0.14, 0.14])
    closed = [inside_share(job, n) for n in range(15) if n % 6 == 1]
    opened = [inside_share(job, n) for n in range(15) if n % 6 == 4]
    # Beside the inside: edges of the lips, and the line between them. The speech rounds the mouth.
    assert max(closed) < 0.06 < min(opened)


def test_a_face_across_the_picture_s_edge_is_painted_inside_it(tmp_path: Path) -> None:
    poses = [replace(p, x=30.0, y=240.0) for p in puppet.silent(6)]
    job = run(poses, tmp_path, 0.24, apertures=[0.1])
    assert all(a.y.shape == b.y.shape for a, b in zip(job.before, job.after, strict=True))
    assert not same(job.before[2], job.after[2])


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
