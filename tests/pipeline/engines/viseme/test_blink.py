"""A still picture blinks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from pipeline.engines.viseme.blink import blink, closure
from tests.pipeline.engines.viseme.puppet import EYE, IO, Pose, draw, head

POSE = Pose()


def _white(shut: float) -> float:
    """How much of the eyes is seen, square pixels."""
    made = blink(draw(POSE, 0, 320, 400), head(POSE), shut, "cpu")
    return float((made.y.float() > EYE[0] - 20).sum())


def test_lids_cover_the_eyes_by_degrees() -> None:
    seen = [_white(shut) for shut in (0.0, 0.5, 1.0)]
    assert seen[0] > 100
    assert 0.3 * seen[0] < seen[1] < 0.8 * seen[0]
    assert seen[2] < 0.15 * seen[0]


def test_nothing_but_the_eyes_changes() -> None:
    before = draw(POSE, 0, 320, 400)
    after = blink(before, head(POSE), 1.0, "cpu")
    changed = torch.nonzero(before.y != after.y)
    assert len(changed) > 100
    assert (changed[:, 0] - POSE.y).abs().max() < 0.4 * IO
    assert (changed[:, 1] - POSE.x).abs().max() < 0.8 * IO
    assert blink(before, head(POSE), 0.0, "cpu") is before


def test_blinks_are_short_and_seconds_apart() -> None:
    shut = [closure(n / 100) > 0 for n in range(6000)]
    starts = [n for n in range(1, 6000) if shut[n] and not shut[n - 1]]
    apart = [(b - a) / 100 for a, b in pairwise(starts)]
    assert 10 <= len(starts) <= 24
    assert min(apart) > 0.9
    assert max(apart) < 7
    assert sum(shut) / 100 / len(starts) == pytest.approx(0.28, abs=0.03)
