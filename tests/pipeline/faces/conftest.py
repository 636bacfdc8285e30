"""The face networks, and the demo's portrait for them to look at."""

from __future__ import annotations

import pytest

from pipeline.faces.detector import Detector
from pipeline.faces.mesh import MeshNetwork
from pipeline.types import Frame
from pipeline.weights import FaceModels
from tests.pipeline.faces.pictures import demo_frames


@pytest.fixture(scope="session")
def detector(face_models: FaceModels) -> Detector:
    return Detector(face_models.detector)


@pytest.fixture(scope="session")
def mesh(face_models: FaceModels) -> MeshNetwork:
    return MeshNetwork(face_models.mesh)


@pytest.fixture(scope="session")
def portrait() -> Frame:
    return demo_frames(1)[0]
