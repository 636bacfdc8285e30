"""The child process: watched, killed, without our secrets, and never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.codes import ErrorCode
from tests.consumer.children import (
    SECRETS,
    fault_of,
    lives,
    ready_worker,
    render,
    until_ready,
)
from tests.support.processes import die_with_parent
from tests.support.work import until

PR_SET_CHILD_SUBREAPER = 36


async def test_the_child_sees_no_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    async with ready_worker() as worker:
        assert worker.pid is not None
        environ = Path(f"/proc/{worker.pid}/environ").read_bytes().decode()
        command = Path(f"/proc/{worker.pid}/cmdline").read_bytes().decode()
    for name, value in SECRETS.items():
        assert value not in environ + command, name
    assert "OMP_WAIT_POLICY=PASSIVE" in environ


async def test_the_kernel_limits_the_child() -> None:
    async with ready_worker() as worker:
        limits = Path(f"/proc/{worker.pid}/limits").read_text(encoding="utf-8")
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="utf-8")
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
    assert rows["Max core file size"] == "0"
    assert int(rows["Max file size"]) < 2**40
    assert int(rows["Max open files"]) <= 4096
    assert "NoNewPrivs:\t1" in status


async def test_a_child_that_shows_no_life_is_killed(tmp_path: Path) -> None:
    async with ready_worker(stall_s=5.0) as worker:
        fault = await fault_of(worker, tmp_path, {"stop": True})
        assert fault.code is ErrorCode.WORKER_STALLED
        await until_ready(worker)


class _Leaping:
    """A clock that went on while the process stood still."""

    leap_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.leap_s


async def test_a_child_is_not_taken_for_a_silent_one_by_a_parent_that_stood_still_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Leaping()
    async with ready_worker() as worker:
        for module in ("worker", "runs", "child"):
            monkeypatch.setattr(f"consumer.workers.{module}.time", clock)
        clock.leap_s = 3600.0
        assert (await render(worker, tmp_path, {"sleep": 0.5})).media.frames == 100
        assert worker.restarts == 0


async def test_a_child_that_is_slow_to_begin_is_not_taken_for_a_silent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 7\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setattr("consumer.workers.child.sys.executable", str(slow))
    async with ready_worker(stall_s=6.0) as worker:
        assert worker.restarts == 0


def test_the_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from consumer.workers.devices import Device\n"
        "from consumer.workers.protocol import Start\n"
        "from consumer.workers.worker import Worker\n"
        "from tests.support.null_render import RENDERER\n"
        "async def main():\n"
        "    worker = Worker(Device('cpu', ''), Start(RENDERER), stall_timeout_s=30)\n"
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
    while lives(child):
        assert time.monotonic() < end, "the child outlived its parent"
        time.sleep(0.05)
    parent.stderr.close()


async def test_stopping_a_worker_leaves_no_process(tmp_path: Path) -> None:
    async with ready_worker() as worker:
        pid = worker.pid
    assert pid is not None
    assert not lives(pid)
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


async def test_what_a_killed_child_leaves_is_waited_for_by_the_first_process_of_a_container(
    tmp_path: Path,
) -> None:
    note = tmp_path / "heir"
    with _inheriting():
        async with ready_worker() as worker:
            await fault_of(worker, tmp_path, {"heir": str(note), "crash": signal.SIGKILL})
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
