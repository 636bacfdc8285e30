"""The child process: watched, stopped, killed, started again, and without our secrets."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from consumer.devices import Device, child_environ, find_devices
from consumer.faults import Fault
from consumer.protocol import Render, RenderLimits, RunTick
from consumer.slots import Fleet
from consumer.worker import Worker
from schemas.codes import ErrorCode
from schemas.render import RenderReport
from schemas.request import RenderOptions
from tests.support.null_render import RENDERER
from tests.support.processes import die_with_parent
from tests.support.work import settings_for, until

CPU = Device("cpu", "")
PR_SET_CHILD_SUBREAPER = 36
SECRETS = {
    "S3_SECRET_KEY": "s3-secret-value",
    "S3_ACCESS_KEY": "s3-access-value",
    "KAFKA_SASL_PASSWORD": "kafka-secret-value",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-value",
    "HF_TOKEN": "hub-secret-value",
    "S3_SECRET_KEY_FILE": "/run/secrets/file-secret-value",
}


@asynccontextmanager
async def _worker(*, stall_s: float = 30.0, renderer: str = RENDERER) -> AsyncIterator[Worker]:
    worker = Worker(CPU, stall_timeout_s=stall_s, renderer=renderer)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def _ready(worker: Worker) -> None:
    await until(lambda: worker.state == "ready")


def _order(worker: Worker, folder: Path, plan: dict[str, Any], budget_s: float = 60) -> Render:
    run = worker.next_run()
    own = folder / run
    own.mkdir()
    (own / "audio").write_text(json.dumps(plan), encoding="utf-8")
    (own / "video").write_bytes(b"v")
    return Render(
        run=run,
        job_id=run,
        audio=str(own / "audio"),
        video=str(own / "video"),
        output=str(own / "out.mp4"),
        scratch=str(own),
        engine="viseme",
        options=RenderOptions(),
        limits=RenderLimits(max_pixels=1, max_video_s=1, max_audio_s=1, max_bytes=1),
        threads=1,
        budget_s=budget_s,
    )


async def _render(
    worker: Worker,
    folder: Path,
    plan: dict[str, Any],
    budget_s: float = 60,
    on_progress: Callable[[RunTick], None] = lambda _: None,
) -> RenderReport:
    order = _order(worker, folder, plan, budget_s)
    return await asyncio.wait_for(worker.render(order, on_progress), 120)


async def _fault(worker: Worker, folder: Path, plan: dict[str, Any], **more: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await _render(worker, folder, plan, **more)
    return caught.value


async def test_a_render_comes_back_with_its_report_and_its_progress(tmp_path: Path) -> None:
    ticks: list[RunTick] = []
    async with _worker() as worker:
        await _ready(worker)
        report = await _render(
            worker, tmp_path, {"sleep": 1.5, "say": '{"kind":"done"}'}, on_progress=ticks.append
        )
        assert report.media.frames == 100
        assert ticks
        assert worker.restarts == 0, "what a library prints cannot break the pipe"


async def test_the_child_sees_no_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    async with _worker() as worker:
        await _ready(worker)
        assert worker.pid is not None
        environ = Path(f"/proc/{worker.pid}/environ").read_bytes().decode()
        command = Path(f"/proc/{worker.pid}/cmdline").read_bytes().decode()
    for name, value in SECRETS.items():
        assert value not in environ + command, name
    assert "OMP_WAIT_POLICY=PASSIVE" in environ


async def test_the_kernel_limits_the_child() -> None:
    async with _worker() as worker:
        await _ready(worker)
        limits = Path(f"/proc/{worker.pid}/limits").read_text(encoding="utf-8")
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="utf-8")
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
    assert rows["Max core file size"] == "0"
    assert int(rows["Max file size"]) < 2**40
    assert int(rows["Max open files"]) <= 4096
    assert "NoNewPrivs:\t1" in status


async def test_a_crash_fails_its_render_and_the_next_child_works(tmp_path: Path) -> None:
    async with _worker() as worker:
        await _ready(worker)
        fault = await _fault(worker, tmp_path, {"crash": int(signal.SIGSEGV)})
        assert fault.code is ErrorCode.WORKER_CRASHED
        assert fault.error.retryable
        assert fault.error.detail["end"] == "SIGSEGV"
        await _ready(worker)
        assert (await _render(worker, tmp_path, {})).media.frames == 100
        assert worker.restarts == 1


async def test_a_child_that_shows_no_life_is_killed(tmp_path: Path) -> None:
    async with _worker(stall_s=5.0) as worker:
        await _ready(worker)
        fault = await _fault(worker, tmp_path, {"stop": True})
        assert fault.code is ErrorCode.WORKER_STALLED
        await _ready(worker)


class _Leaping:
    """A clock that went on while the process stood still."""

    leap_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.leap_s


async def test_a_child_is_not_taken_for_a_silent_one_by_a_parent_that_stood_still_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Leaping()
    async with _worker() as worker:
        await _ready(worker)
        for module in ("consumer.worker", "consumer.child"):
            monkeypatch.setattr(f"{module}.time", clock)
        clock.leap_s = 3600.0
        assert (await _render(worker, tmp_path, {"sleep": 0.5})).media.frames == 100
        assert worker.restarts == 0


async def test_a_child_that_is_slow_to_begin_is_not_taken_for_a_silent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 7\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setattr("consumer.child.sys.executable", str(slow))
    async with _worker(stall_s=6.0) as worker:
        await _ready(worker)
        assert worker.restarts == 0


async def test_a_render_over_its_time_stops_itself_and_keeps_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.worker.DEADLINE_GRACE_S", 60.0)
    async with _worker() as worker:
        await _ready(worker)
        fault = await _fault(worker, tmp_path, {"sleep": 600}, budget_s=0.5)
        assert fault.code is ErrorCode.DEADLINE_EXCEEDED
        assert worker.restarts == 0


async def test_a_deaf_render_over_its_time_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.worker.DEADLINE_GRACE_S", 0.5)
    async with _worker() as worker:
        await _ready(worker)
        fault = await _fault(worker, tmp_path, {"sleep": 600, "deaf": True}, budget_s=2.0)
        assert fault.code is ErrorCode.DEADLINE_EXCEEDED
        assert worker.restarts == 1


async def test_a_cancelled_render_stops_and_the_child_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.worker.CANCEL_GRACE_S", 60.0)
    log = tmp_path / "log"
    async with _worker() as worker:
        await _ready(worker)
        task = asyncio.create_task(_render(worker, tmp_path, {"sleep": 600, "log": str(log)}))
        await until(log.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert worker.restarts == 0
        assert (await _render(worker, tmp_path, {})).media.frames == 100


async def test_a_cuda_error_ends_the_child_after_it_was_reported(tmp_path: Path) -> None:
    async with _worker() as worker:
        await _ready(worker)
        first = worker.pid
        fault = await _fault(worker, tmp_path, {"defect": "CUDA error: an illegal access"})
        assert "illegal access" in fault.error.message
        await until(lambda: worker.state == "ready" and worker.pid != first)
        await _fault(worker, tmp_path, {"defect": "CUDA out of memory. Tried to allocate"})
        await _fault(worker, tmp_path, {"error": "NoFace"})
        assert worker.restarts == 1, "other errors are one render's alone"


async def test_a_child_that_cannot_import_its_renderer_says_why_and_does_not_crash_in_a_loop(
    tmp_path: Path,
) -> None:
    async with _worker(renderer="tests.support.no_such_module:render") as worker:
        await until(lambda: worker.trouble is not None)
        assert worker.trouble is not None
        assert "no_such_module" in worker.trouble.message
        await until(lambda: worker.state == "down")
        await asyncio.sleep(1.0)
        assert worker.restarts == 1, "the next try waits"


def test_the_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from consumer.devices import Device\n"
        "from consumer.worker import Worker\n"
        "from tests.support.null_render import RENDERER\n"
        "async def main():\n"
        "    worker = Worker(Device('cpu', ''), stall_timeout_s=30, renderer=RENDERER)\n"
        "    worker.start()\n"
        "    while worker.state != 'ready': await asyncio.sleep(0.02)\n"
        "    sys.stderr.write(f'pid {worker.pid}\\n'); sys.stderr.flush()\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert parent.stderr is not None
    line = next(line for line in parent.stderr if line.startswith("pid "))
    child = int(line.split()[1])
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait(120)
    end = time.monotonic() + 120
    while _lives(child):
        assert time.monotonic() < end, "the child outlived its parent"
        time.sleep(0.05)
    parent.stderr.close()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


async def test_stopping_a_worker_leaves_no_process(tmp_path: Path) -> None:
    async with _worker() as worker:
        await _ready(worker)
        pid = worker.pid
    assert pid is not None
    assert not _lives(pid)
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


async def test_a_machine_without_memory_for_a_process_is_no_defect(tmp_path: Path) -> None:
    async with _worker() as worker:
        await _ready(worker)
        fault = await _fault(worker, tmp_path, {"errno": errno.ENOMEM})
        assert fault.code is ErrorCode.OUT_OF_MEMORY
        assert (await _fault(worker, tmp_path, {"errno": errno.EPERM})).code is ErrorCode.INTERNAL


async def test_what_a_killed_child_leaves_is_waited_for_by_the_first_process_of_a_container(
    tmp_path: Path,
) -> None:
    note = tmp_path / "heir"
    with _inheriting():
        async with _worker() as worker:
            await _ready(worker)
            await _fault(worker, tmp_path, {"heir": str(note), "crash": signal.SIGKILL})
            heir = Path("/proc", note.read_text(encoding="utf-8"))
            await until(lambda: worker.state == "ready")
            await until(lambda: not heir.exists())


@contextmanager
def _inheriting() -> Iterator[None]:
    """Be given orphans, as the first process of a container is (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


# --- slots


@asynccontextmanager
async def _fleet(folder: Path, slots: int) -> AsyncIterator[Fleet]:
    from tests.support.handles import S3Handle

    nowhere = S3Handle("none", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    fleet = Fleet(settings_for(nowhere, folder, F2F_SLOTS=slots), RENDERER)
    fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()


async def test_no_more_jobs_hold_a_slot_than_there_are_and_they_come_in_order(
    tmp_path: Path,
) -> None:
    async with _fleet(tmp_path, 2) as fleet:
        inside, most, order = 0, 0, []

        async def work(n: int) -> None:
            nonlocal inside, most
            async with fleet.slot():
                order.append(n)
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        await asyncio.gather(*(work(n) for n in range(10)))
        assert (most, order) == (2, list(range(10)))


async def test_a_suspect_is_alone_and_does_not_starve(tmp_path: Path) -> None:
    async with _fleet(tmp_path, 2) as fleet:
        inside: set[str] = set()
        seen: list[set[str]] = []

        async def work(name: str, alone: bool) -> None:
            async with fleet.slot(alone=alone):
                inside.add(name)
                await asyncio.sleep(0.02)
                seen.append(set(inside))
                inside.discard(name)

        jobs = [work(f"a{n}", False) for n in range(3)]
        jobs += [work("suspect", True), *(work(f"b{n}", False) for n in range(3))]
        await asyncio.gather(*jobs)
        with_suspect = [group for group in seen if "suspect" in group]
        assert with_suspect == [{"suspect"}]
        assert seen.index({"suspect"}) <= 3


async def test_who_stops_waiting_for_a_slot_takes_none_with_him(tmp_path: Path) -> None:
    async with _fleet(tmp_path, 1) as fleet:
        async with fleet.slot():
            waiting = asyncio.create_task(fleet.slot().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(120), fleet.slot():
            assert fleet.health()["cpu"]["busy"] == 1
        assert fleet.health()["cpu"]["busy"] == 0


# --- devices


@pytest.mark.parametrize(
    ("wanted", "visible", "labels"),
    [
        (("auto",), "", ["cpu"]),
        (("auto",), "0,2", ["cuda:0", "cuda:2"]),
        (("auto",), "-1", ["cpu"]),
        (("cpu",), "0", ["cpu"]),
        (("1", "cuda:0"), "0,1", ["cuda:1", "cuda:0"]),
    ],
)
def test_there_is_one_worker_per_device_that_cuda_would_see(
    wanted: tuple[str, ...], visible: str, labels: list[str]
) -> None:
    devices = find_devices(wanted, {"CUDA_VISIBLE_DEVICES": visible})
    assert [device.label for device in devices] == labels


def test_a_gpu_may_have_several_workers_and_the_cpu_has_one() -> None:
    devices = find_devices(("0", "cpu", "1"), {}, per_gpu=2)
    labels = ["cuda:0", "cuda:1", "cuda:0/2", "cuda:1/2", "cpu"]
    assert [device.label for device in devices] == labels
    assert [device.visible for device in devices] == ["0", "1", "0", "1", ""]


def test_a_child_sees_its_own_device_alone() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "0,1", "PATH": "/bin", **SECRETS}
    assert child_environ(Device("cuda:1", "1"), environ)["CUDA_VISIBLE_DEVICES"] == "1"
    assert child_environ(CPU, environ)["CUDA_VISIBLE_DEVICES"] == ""
    assert not set(SECRETS) & set(child_environ(CPU, environ))
