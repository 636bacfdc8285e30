"""How many frames travel together, on which stream, and what lack of memory is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.batch_sizes import batch_of
from pipeline.batching.cuda import REACH_FIRST, on_own_stream
from pipeline.engines import registry
from pipeline.errors import EngineUnavailable, OutOfMemory
from pipeline.render import render
from pipeline.types import RenderSpec
from schemas.codes import Stage
from tests.support import paper_cuda


@pytest.mark.parametrize(
    ("width", "height", "device", "frames"),
    [
        (1280, 720, "cpu", 8),
        (1920, 1080, "cpu", 4),
        (1280, 720, "cuda", 16),
        (1920, 1080, "cuda:1", 16),
    ],
)
def test_more_frames_travel_together_on_a_gpu_and_fewer_large_ones_on_a_cpu(
    width: int, height: int, device: str, frames: int
) -> None:
    assert batch_of(width * height, device) == frames


def test_a_job_on_a_gpu_has_a_stream_that_no_other_job_works_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper_cuda.install(monkeypatch)
    seen: list[Any] = []

    def create(*_: object) -> None:
        seen.append(torch.cuda.current_stream())
        raise EngineUnavailable("not today", stage=Stage.PROBE)

    monkeypatch.setattr(registry, "create", create)
    here = tmp_path / "nothing"
    with on_own_stream("cuda"):
        another = torch.cuda.current_stream()
        with pytest.raises(EngineUnavailable):
            render(RenderSpec(here, here, here, tmp_path, device="cuda"), lambda tick: None)
    assert seen != [another]
    assert [stream.priority for stream in seen] == [REACH_FIRST]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: out of memory")],
    ids=str,
)
def test_a_job_without_memory_says_so_whoever_found_it(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: object) -> None:
        raise error

    monkeypatch.setattr(registry, "create", create)
    here = tmp_path / "nothing"
    with pytest.raises(OutOfMemory, match="out of memory"):
        render(RenderSpec(here, here, here, tmp_path), lambda tick: None)
