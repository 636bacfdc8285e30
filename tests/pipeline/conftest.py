"""The pulled face models, without which tests that need them fail with the reason."""

from __future__ import annotations

import pytest

from pipeline.errors import WeightsMissing
from pipeline.weights import FaceModels, load_faces


@pytest.fixture(scope="session")
def face_models() -> FaceModels:
    """The pulled face models."""
    try:
        return load_faces()
    except WeightsMissing as error:
        pytest.fail(error.message)
