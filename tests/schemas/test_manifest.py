"""A manifest records one outcome, whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.manifest import Manifest

GOLDEN = Path(__file__).parents[1] / "contract" / "golden" / "v1"


def _golden(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"manifest.{kind}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_a_manifest_has_the_event_of_its_outcome(outcome: str) -> None:
    whole = _golden(outcome)
    assert Manifest.model_validate(whole).outcome == outcome
    with pytest.raises(ValidationError, match=f"outcome is '{outcome}'"):
        Manifest.model_validate({**whole, outcome: None})


def test_a_manifest_has_no_other_event() -> None:
    both = {**_golden("completed"), "failed": _golden("failed")["failed"]}
    with pytest.raises(ValidationError, match="outcome is 'completed'"):
        Manifest.model_validate(both)
