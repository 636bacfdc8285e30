"""The face models, without which these tests fail with the reason."""

from __future__ import annotations

import pytest

from pipeline.errors import WeightsMissing
from pipeline.weights import load_faces


@pytest.fixture(scope="session")
def face_models() -> None:
    """The pulled face models; tests that need them stop with the reason where they are missing."""
    try:
        load_faces()
    except WeightsMissing as error:
        pytest.fail(error.message)
