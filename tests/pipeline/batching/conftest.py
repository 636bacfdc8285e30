"""CUDA on paper (`tests.support.paper_cuda`), for tests of what is captured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from pipeline.batching import captured
from tests.support import paper_cuda


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], Tensor]:
    """Put rows on the device by what this returns."""
    monkeypatch.setattr(captured, "_WARM_UP", 1)  # nothing is compiled or tuned on paper
    return paper_cuda.install(monkeypatch)
