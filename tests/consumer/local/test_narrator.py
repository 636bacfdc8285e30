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
