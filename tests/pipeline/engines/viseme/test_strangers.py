"""Shots of several people: nobody gets another one's lips."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.faces.appearance import COMPLEXION
from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.jobs import Job, run

FRAMES, CUT = 60, 30


def lent_across_the_cut(job: Job) -> int:
    bank, first = job.plan.avatar.bank, job.plan.first
    assert bank is not None
    assert first is not None
    lenders = bank.units.frame[first] >= CUT
    return int((lenders != (job.plan.source >= CUT)).sum())


def test_lips_are_lent_by_the_person_and_in_the_light_of_the_shot(tmp_path: Path) -> None:
    painted = torch.zeros(FRAMES, COMPLEXION, dtype=torch.float16)
    painted[CUT:, 2] = 12.0
    poses, seconds, asked = puppet.talking(FRAMES), FRAMES / 25, [0.0, 0.02, 0.08, 0.15, 0.1, 0.04]
    alone = run(poses, tmp_path, seconds, apertures=asked, cuts=(CUT,))
    assert lent_across_the_cut(alone) > 0
    both = run(poses, tmp_path, seconds, apertures=asked, cuts=(CUT,), complexion=painted)
    assert lent_across_the_cut(both) == 0
