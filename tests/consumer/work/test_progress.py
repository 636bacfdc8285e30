"""What of a worker's ticks is told."""

from __future__ import annotations

import pytest

from consumer.work.progress import ProgressTeller, percent_of
from consumer.workers.protocol import RunTick
from schemas.events import Progress


def _tick(done: int, stage: str = "generate") -> RunTick:
    return RunTick(run="r", stage=stage, done=done, total=100)


def test_progress_is_told_by_5_percent_or_2_seconds_and_never_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, told = [100.0], list[Progress]()
    monkeypatch.setattr("consumer.work.progress.time.monotonic", lambda: now[0])
    tell = ProgressTeller("j", "render", 1, told.append)
    for done in range(101):
        tell(_tick(done))
    assert [event.percent for event in told] == [round(40 + n * 5.31, 1) for n in range(12)]
    now[0] += 2.0
    for done in (10, 100):
        tell(_tick(done))
    assert [event.percent for event in told[12:]] == [99.0]


def test_each_stage_has_its_part_of_the_whole() -> None:
    parts = {stage: percent_of(_tick(100, stage)) for stage in ("probe", "track", "prepare")}
    assert parts == {"probe": 1.0, "track": 30.0, "prepare": 40.0}
    assert percent_of(RunTick(run="r", stage="generate", done=0, total=0)) == 40.0
