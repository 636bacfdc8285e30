"""What a round makes while all of its slots work, without its begin and its end."""

from __future__ import annotations

import pytest

from pipeline.types import Tick
from tests.bench.steady import Progress, steady


def test_slow_ends_of_a_round_are_left_out() -> None:
    made = [(2.0, 1), (25.0, 100), (50.0, 100), (74.9, 100), (75.0, 100), (99.0, 1)]
    assert steady(made, 0.0, 100.0) == pytest.approx(300 / 50)


def test_frames_are_counted_once_for_each_job_and_only_when_they_are_made() -> None:
    found = Progress()
    one, other = found.of_job(), found.of_job()
    for tell, tick in (
        (one, Tick("track", 8, 8)),
        (one, Tick("generate", 16, 40)),
        (other, Tick("generate", 16, 16)),
        (one, Tick("generate", 40, 40)),
    ):
        tell(tick)
    assert [frames for _, frames in found.made] == [16, 16, 24]
