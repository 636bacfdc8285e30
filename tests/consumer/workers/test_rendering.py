"""What a worker's child does before it is ready, and which errors of a GPU end it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumer.workers.child import _GRAVE
from consumer.workers.protocol import EXIT_STICKY
from consumer.workers.rendering import get_ready, hangs, is_sticky
from consumer.workers.serving import EXIT_UNREADY, HUNG_BEATS, Server
from pipeline.batching.capture import NotMended
from pipeline.engines import registry
from pipeline.errors import EngineFailed, OutOfMemory, WeightsMissing
from pipeline.faces import loaded
from pipeline.reading import nvdec
from pipeline.waits import wait_for
from schemas.codes import Stage
from schemas.device import Way


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


def test_a_gpu_that_does_not_answer_is_seen_from_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, answer = threading.Event(), threading.Event()

    class Mark:
        """In a stream that does not get there."""

        def synchronize(self) -> None:
            begun.set()
            assert answer.wait(120.0)

    monkeypatch.setattr("consumer.workers.rendering.HANG_S", -1.0)
    assert not hangs("cpu"), "there is none"
    monkeypatch.setattr("consumer.workers.rendering.HANG_S", 0.0)
    assert not hangs("cuda"), "nobody waits"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_for, Mark())
        assert begun.wait(120.0)
        assert hangs("cuda")
        answer.set()
        waiting.result(120.0)
    assert not hangs("cuda")


def test_a_child_whose_gpu_hangs_ends_itself_and_one_that_stood_still_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [True] * HUNG_BEATS + [False] + [True] * (HUNG_BEATS + 1)
    seen = iter(looks)
    ended: list[int] = []

    def leave(code: int) -> None:
        ended.append(code)
        raise SystemExit

    monkeypatch.setattr("consumer.workers.serving.hangs", lambda device: next(seen))
    monkeypatch.setattr("consumer.workers.serving.BEAT_S", 0.0)
    monkeypatch.setattr("os._exit", leave)
    pipe = open(os.devnull, "wb", buffering=0)  # noqa: PTH123, SIM115 - as the child has it
    with pipe, pytest.raises(SystemExit):
        Server(pipe, "cuda")._beat()
    assert ended == [EXIT_STICKY]
    assert list(seen) == []


@pytest.mark.parametrize(
    ("error", "networks", "code"),
    [
        (NotMended("a capture failed"), {"faces: mesh": "captured"}, EXIT_STICKY),
        (RuntimeError("CUDA error: unspecified launch failure"), {"a": "single"}, EXIT_STICKY),
        (RuntimeError("CUDA error: devices are busy or unavailable"), {}, EXIT_UNREADY),
        (RuntimeError("Found no NVIDIA driver on your system"), {"a": "single"}, EXIT_UNREADY),
    ],
    ids=str,
)
def test_a_device_that_breaks_under_the_first_networks_is_told_from_one_that_was_never_there(
    error: Exception, networks: dict[str, Way], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def leave(code: int) -> None:
        ended.append(code)
        raise SystemExit

    def fail(device: str) -> None:
        raise error

    monkeypatch.setattr("consumer.workers.serving.watched", fail)
    monkeypatch.setattr("pipeline.batching.ways._ways", networks)
    monkeypatch.setattr("os._exit", leave)
    pipe = open(os.devnull, "wb", buffering=0)  # noqa: PTH123, SIM115 - as the child has it
    with pipe, pytest.raises(SystemExit):
        Server(pipe, "cuda")._load("tests.support.null_render:render")
    assert ended == [code]


def test_what_a_device_was_found_to_do_reaches_the_log_as_grave_as_it_is() -> None:
    code = (
        "from consumer.workers.rendering import let_the_log_speak; let_the_log_speak();"
        "from pipeline.hardware import allow; from pipeline.writing import nvenc;"
        "allow(encoder='auto'); nvenc._trouble('cpu');"
        "import logging; logging.getLogger('pipeline.batching.captured').warning('slower')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    first, second = done.stderr.splitlines()
    assert first.startswith("INFO pipeline.writing.nvenc: videos are encoded on the processors")
    assert second == "WARNING pipeline.batching.captured: slower"
    assert (first.startswith(_GRAVE), second.startswith(_GRAVE)) == (False, True)


def test_looking_whether_a_gpu_hangs_loads_no_torch() -> None:
    code = (
        "import sys; from consumer.workers.rendering import hangs; hangs('cuda');"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "False", "the heart would stop while torch is loaded"
