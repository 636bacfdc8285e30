"""What is told to people of a job's events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from consumer.kafka.client import Event
from consumer.local.narrator import Narrator

GOLDEN = Path(__file__).parents[2] / "contract" / "golden" / "v1"


@pytest.mark.parametrize(("attempt", "told"), [(1, False), (2, True)])
def test_a_job_that_begins_again_is_told_as_another_attempt(
    attempt: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((GOLDEN / "progress.json").read_text("utf-8")) | {"attempt": attempt}
    Narrator(as_json=False).event(Event("face2face.progress", "progress", {}, data))
    assert (f"(attempt {attempt})" in capsys.readouterr().out) is told


@pytest.mark.parametrize(("total", "told"), [(0, False), (300, True)])
def test_frames_are_told_once_their_number_is_known(
    total: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each job began with "0/0 frames"."""
    counts = {"frames_done": 0, "frames_total": total}
    data = json.loads((GOLDEN / "progress.json").read_text("utf-8")) | counts
    Narrator(as_json=False).event(Event("face2face.progress", "progress", {}, data))
    assert ("frames" in capsys.readouterr().out) is told
