"""Each render ends in one way, and a worker works on after all of them."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from consumer.caches import weights_root
from consumer.workers import worker as worker_module
from consumer.workers.protocol import PIPELINE, RunTick
from schemas.codes import ErrorCode
from tests.consumer.children import fault_of, ready_worker, render, running_worker, until_ready
from tests.support.work import until


async def test_a_render_comes_back_with_its_report_and_its_progress(tmp_path: Path) -> None:
    ticks: list[RunTick] = []
    async with ready_worker() as worker:
        report = await render(
            worker, tmp_path, {"sleep": 1.5, "say": '{"kind":"done"}'}, on_progress=ticks.append
        )
        assert report.media.frames == 100
        assert ticks
        assert worker.restarts == 0, "what a library prints cannot break the pipe"


async def test_a_crash_fails_its_render_and_the_next_child_works(tmp_path: Path) -> None:
    async with ready_worker() as worker:
        fault = await fault_of(worker, tmp_path, {"crash": int(signal.SIGSEGV)})
        assert fault.code is ErrorCode.WORKER_CRASHED
        assert fault.error.retryable
        assert fault.error.detail["end"] == "SIGSEGV"
        await until_ready(worker)
        assert (await render(worker, tmp_path, {})).media.frames == 100
        assert worker.restarts == 1


async def test_a_render_over_its_time_stops_itself_and_keeps_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.workers.runs.DEADLINE_GRACE_S", 60.0)
    async with ready_worker() as worker:
        fault = await fault_of(worker, tmp_path, {"sleep": 600}, budget_s=0.5)
        assert fault.code is ErrorCode.DEADLINE_EXCEEDED
        assert worker.restarts == 0


async def test_a_deaf_render_over_its_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.workers.runs.DEADLINE_GRACE_S", 0.5)
    async with ready_worker() as worker:
        fault = await fault_of(worker, tmp_path, {"sleep": 600, "deaf": True}, budget_s=2.0)
        assert fault.code is ErrorCode.DEADLINE_EXCEEDED
        assert worker.restarts == 1


async def test_a_cancelled_render_stops_and_the_child_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.workers.worker.CANCEL_GRACE_S", 60.0)
    log = tmp_path / "log"
    async with ready_worker() as worker:
        task = asyncio.create_task(render(worker, tmp_path, {"sleep": 600, "log": str(log)}))
        await until(log.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert worker.restarts == 0
        assert (await render(worker, tmp_path, {})).media.frames == 100


async def test_a_cuda_error_ends_the_child_after_it_was_reported(tmp_path: Path) -> None:
    async with ready_worker() as worker:
        first = worker.pid
        fault = await fault_of(worker, tmp_path, {"defect": "CUDA error: an illegal access"})
        assert "illegal access" in fault.error.message
        await until(lambda: worker.state == "ready" and worker.pid != first)
        await fault_of(worker, tmp_path, {"defect": "CUDA out of memory. Tried to allocate"})
        await fault_of(worker, tmp_path, {"error": "NoFace"})
        assert worker.restarts == 1, "other errors are one render's alone"


async def test_a_child_that_cannot_import_its_renderer_says_why_and_does_not_crash_in_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr(
        worker_module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": pause})
    )
    async with running_worker(renderer="tests.support.no_such_module:render") as worker:
        await until(lambda: worker.trouble is not None)
        assert worker.trouble is not None
        assert "no_such_module" in worker.trouble.message
        await until(lambda: bool(pauses))
        assert worker.state == "down"
        assert pauses == [worker_module.LONGEST_PAUSE_S], "the next try waits"


async def test_a_machine_without_memory_for_a_process_is_no_defect(tmp_path: Path) -> None:
    async with ready_worker() as worker:
        fault = await fault_of(worker, tmp_path, {"errno": errno.ENOMEM})
        assert fault.code is ErrorCode.OUT_OF_MEMORY
        assert (await fault_of(worker, tmp_path, {"errno": errno.EPERM})).code is ErrorCode.INTERNAL


async def test_a_machine_without_room_for_a_thread_or_a_process_is_no_defect(
    tmp_path: Path,
) -> None:
    """As at the limit of processes of a container."""
    async with ready_worker() as worker:
        for plan in ({"errno": errno.EAGAIN}, {"defect": "can't start new thread"}):
            fault = await fault_of(worker, tmp_path, plan)
            assert fault.code is ErrorCode.OUT_OF_MEMORY


async def test_a_child_that_cannot_be_started_is_said_and_tried_again_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of processes or open files no child was ever started again."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "away"))
        async with running_worker() as worker:
            await until(lambda: worker.trouble is not None)
            assert worker.trouble is not None
            assert "No such file" in worker.trouble.message
            patch.undo()
            await until_ready(worker)
            assert worker.trouble is None


async def test_a_child_whose_text_has_no_end_is_heard_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was lost for good, and with it the replica."""
    monkeypatch.setattr("consumer.workers.child.MAX_LINE", 16 * 1024)
    async with ready_worker() as worker:
        await render(worker, tmp_path, {"say": "x" * 200_000})
        await render(worker, tmp_path, {"say": "an end"})
        assert worker.restarts == 0


@pytest.mark.parametrize(
    ("engine", "wanted"),
    [("viseme", "face2face weights pull faces"), ("wav2lip", "put wav2lip.pth")],
)
async def test_a_worker_whose_default_engine_lacks_files_takes_no_job_until_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, wanted: str
) -> None:
    """It said ready, and every job that named no engine failed after its last attempt."""
    here = weights_root()
    monkeypatch.setenv("F2F_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE_S", 0.1)
    if engine != "viseme":
        (tmp_path / "faces").symlink_to(here / "faces")
    with capture_logs() as lines:
        async with running_worker(renderer=PIPELINE, warm=engine) as worker:
            await until(lambda: worker.restarts > 1)
            assert worker.facts is None
            assert worker.trouble is not None
            assert worker.trouble.code is ErrorCode.WEIGHTS_MISSING
            assert f"{engine!r} (F2F_ENGINE)" in worker.trouble.message
            assert wanted in worker.trouble.message
            if engine == "viseme":
                (tmp_path / "faces").symlink_to(here / "faces")
                await until_ready(worker)
                assert worker.trouble is None
    said = [line for line in lines if line["event"] in ("worker cannot work", "worker says")]
    assert {line["event"] for line in said} == {"worker cannot work"}, "without a traceback"
