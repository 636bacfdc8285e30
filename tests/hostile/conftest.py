"""Good files of every kind, to be spoilt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.files import GOOD, make


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for name in GOOD:
        make(folder / name)
    return folder
