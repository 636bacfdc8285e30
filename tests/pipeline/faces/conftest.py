"""The pulled face models; without them these tests have nothing to say and stop with the reason."""

from __future__ import annotations

import pytest

from pipeline.errors import WeightsMissing
from pipeline.faces.detector import Detector
from pipeline.faces.mesh import MeshNetwork
from pipeline.types import Frame
from pipeline.weights import FaceModels, load_faces
from tests.pipeline.faces.pictures import demo_frames


@pytest.fixture(scope="session")
def models() -> FaceModels:
    try:
        return load_faces()
    except WeightsMissing as error:
        pytest.fail(error.message)


@pytest.fixture(scope="session")
def detector(models: FaceModels) -> Detector:
    return Detector(models.detector)


@pytest.fixture(scope="session")
def mesh(models: FaceModels) -> MeshNetwork:
    return MeshNetwork(models.mesh)


@pytest.fixture(scope="session")
def portrait() -> Frame:
    return demo_frames(1)[0]
