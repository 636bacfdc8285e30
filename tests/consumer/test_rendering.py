"""What a worker's child does before it is ready, and which errors of a GPU end it."""

from __future__ import annotations

import pytest

from consumer.rendering import get_ready, is_sticky
from pipeline import nvdec
from pipeline.engines import registry
from pipeline.errors import EngineFailed, OutOfMemory, WeightsMissing
from pipeline.faces import loaded
from schemas.codes import Stage


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        RuntimeError("CUDA error: operation failed due to a previous error during capture"),
        RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        _caused(EngineFailed("it broke", stage=Stage.GENERATE), RuntimeError("CUDA error: lost")),
    ],
    ids=str,
)
def test_a_context_that_stays_broken_ends_the_child(error: Exception) -> None:
    assert is_sticky(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        _caused(
            OutOfMemory("out of memory", stage=Stage.GENERATE),
            RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        ),
        ValueError("a defect"),
    ],
    ids=str,
)
def test_what_one_job_met_does_not_end_the_others(error: Exception) -> None:
    assert not is_sticky(error)


@pytest.mark.parametrize("engine", ["musetalk", None])
def test_a_gpus_first_job_finds_decoder_engine_and_faces_ready(
    engine: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(nvdec, "look", lambda device: done.append(("decoder", device)))
    monkeypatch.setattr(registry, "warm", lambda *which: done.append(which))
    monkeypatch.setattr(loaded, "warm", lambda device: done.append(("faces", device)))
    get_ready("cpu", engine)
    assert done == []
    get_ready("cuda", engine)
    warmed = [(engine, "cuda")] if engine else []
    assert done == [("decoder", "cuda"), *warmed, ("faces", "cuda")]


def test_a_gpu_without_the_face_models_is_ready_for_jobs_that_need_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(device: str) -> None:
        raise WeightsMissing("no models", stage=Stage.TRACK)

    monkeypatch.setattr(nvdec, "look", lambda device: None)
    monkeypatch.setattr(loaded, "warm", missing)
    get_ready("cuda", None)
