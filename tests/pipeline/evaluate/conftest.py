"""One evaluation of the demo, shared by the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.evaluate.evidence import Sources
from pipeline.evaluate.suite import Evaluation, evaluate
from pipeline.weights import FaceModels

ASSETS = Path(__file__).parents[3] / "consumer" / "demo_assets"
PORTRAIT, SPEECH = ASSETS / "reference.mp4", ASSETS / "speech.flac"


@pytest.fixture(scope="session")
def untouched(face_models: FaceModels) -> Evaluation:
    """The demo's portrait as an output of itself, with a speech that it does not say."""
    return evaluate(Sources(PORTRAIT, reference=PORTRAIT, audio=SPEECH))


@pytest.fixture(scope="session")
def told(untouched: Evaluation) -> dict[str, Any]:
    """It as JSON."""
    result = untouched.as_json()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result
