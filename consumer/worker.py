"""The parent's side of one worker child: starts it, watches it, kills it, starts it again.

A render ends in exactly one of these ways: the child answers; the child ends (WORKER_CRASHED); it
shows no life (WORKER_STALLED) or does not stop in time (DEADLINE_EXCEEDED, CANCELLED) and is
killed. The next child starts after a pause that grows while no render succeeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

import structlog

from consumer.devices import Device, child_environ
from consumer.faults import Fault
from consumer.metrics import WORKER_RESTARTS, WORKER_UP
from consumer.orphans import Orphans
from consumer.protocol import (
    MAX_LINE,
    Beat,
    Broken,
    Cancel,
    Done,
    Message,
    Ready,
    Render,
    RunTick,
    Unready,
    encode,
    read_child,
)
from schemas.codes import ErrorCode, Stage
from schemas.device import DeviceMemory
from schemas.render import ErrorFacts, RenderReport

CANCEL_GRACE_S = 1.2
"""What a render has to stop by itself before its process is killed."""
DEADLINE_GRACE_S = 4.0
START_LIMIT_S = 600.0
"""Imports and model files of a cold machine, and compiling for its GPU, may take this long."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
LOOK_S = 0.2
MOST_SILENCE_S = 1.0
"""Of a child, between one look at it and the next, however late that comes."""
PIPELINE = "pipeline.render:render"
State = Literal["starting", "ready", "down"]
OnProgress = Callable[[RunTick], None]
log = structlog.get_logger(__name__)


class _Run:
    def __init__(self, order: Render, on_progress: OnProgress) -> None:
        self.order = order
        self.on_progress = on_progress
        self.future: asyncio.Future[RenderReport] = asyncio.get_running_loop().create_future()
        self.kill_at = time.monotonic() + order.budget_s + DEADLINE_GRACE_S
        self.kill_code = ErrorCode.DEADLINE_EXCEEDED

    def resolve(self, report: RenderReport) -> None:
        if not self.future.done():
            self.future.set_result(report)

    def fail(self, error: ErrorFacts) -> None:
        if not self.future.done():
            self.future.set_exception(Fault(error))


class Worker:
    """One device's child process, started again whenever it ends."""

    def __init__(
        self,
        device: Device,
        *,
        stall_timeout_s: float,
        renderer: str = PIPELINE,
        on_change: Callable[[], None] = lambda: None,
        warm: str | None = None,
        processors: int = 0,
    ) -> None:
        self.device = device
        self.state: State = "starting"
        self.facts: Ready | None = None
        """What the child said when it became ready; kept while it is down."""
        self.trouble: ErrorFacts | None = None
        """Why it cannot become ready, as far as it could say so itself."""
        self.memory: DeviceMemory | None = None
        """Of its GPU, as the child measured it last; kept while it is down."""
        self.restarts = 0
        self._stall_timeout_s = stall_timeout_s
        self._renderer = renderer
        self._warm = warm
        self._processors = processors
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._orphans = Orphans()
        self._runs: dict[str, _Run] = {}
        self._numbers = itertools.count()
        self._silent_s: float | None = None
        """None until this child has said anything; until then the limit of the start counts."""
        self._served = 0
        self._kill_code: ErrorCode | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child that runs now."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the child in the background."""
        self._task = asyncio.create_task(self._supervise(), name=f"worker-{self.device.label}")

    async def stop(self) -> None:
        """End the child and what it renders."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def next_run(self) -> str:
        """An identity for the next render."""
        return f"{self.device.label}-{next(self._numbers)}"

    async def render(self, order: Render, on_progress: OnProgress) -> RenderReport:
        """Render in the child; being cancelled stops it there, or kills it.

        Raises:
            Fault: what the child reports, or WORKER_CRASHED, WORKER_STALLED, DEADLINE_EXCEEDED.
        """
        run = _Run(order, on_progress)
        if self.state != "ready":
            raise self._ended("it was not ready", ErrorCode.WORKER_CRASHED)
        self._runs[order.run] = run
        try:
            await self._tell(order)
            return await asyncio.shield(run.future)
        except asyncio.CancelledError:
            await self._stop_run(run)
            raise
        finally:
            self._runs.pop(order.run, None)
            if run.future.done() and not run.future.cancelled():
                run.future.exception()  # seen, even when nobody waits any more

    async def _stop_run(self, run: _Run) -> None:
        run.kill_code = ErrorCode.CANCELLED
        run.kill_at = min(run.kill_at, time.monotonic() + CANCEL_GRACE_S)
        await self._tell(Cancel(run=run.order.run))
        await asyncio.wait([run.future], timeout=CANCEL_GRACE_S + 5.0)

    async def _tell(self, message: Message) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):  # its end is seen elsewhere
            process.stdin.write(encode(message))
            await process.stdin.drain()

    # --- life of the children

    async def _supervise(self) -> None:
        failures = 0
        try:
            while True:
                served = self._served
                self.state = "starting"
                await self._live()
                failures = 0 if self._served > served else failures + 1
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, 20))
                if self.trouble is not None:
                    pause = LONGEST_PAUSE_S  # it says itself that it cannot work here
                self.restarts += 1
                WORKER_RESTARTS.labels(self.device.label).inc()
                await asyncio.sleep(pause)
        finally:
            self._down()

    async def _live(self) -> None:
        """One child, from its start to its end."""
        self._kill_code = None
        self._silent_s, started = None, time.monotonic()
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "consumer.worker_main"),
            *("--device", self.device.torch_name, "--render", self._renderer),
            *(("--warm", self._warm) if self._warm else ()),
            *("--processors", str(self._processors)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environ(self.device),
            limit=MAX_LINE,
            start_new_session=True,
        )
        tail: deque[str] = deque(maxlen=20)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(started))
                group.create_task(self._log(process, tail))
                await self._listen(process)
                watch.cancel()
                self._kill(None)
        finally:
            self._kill(None)
            code = await process.wait()
            self._orphans.expect(process.pid)
            self._down()
            self._fail_runs(code, tail)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._silent_s = 0.0
                self._hear(line)
        except ValueError as error:
            log.error("worker speaks nonsense", device=self.device.label, error=str(error)[:500])

    def _hear(self, line: bytes) -> None:
        message = read_child(line)
        match message:
            case Beat():
                self._remember(message.memory)
                for tick in message.runs:
                    if tick.run in self._runs:
                        self._runs[tick.run].on_progress(tick)
            case Ready():
                self.facts, self.trouble, self.state = message, None, "ready"
                self._remember(message.memory)
                WORKER_UP.labels(self.device.label).set(1)
                log.info("worker ready", device=self.device.label, worker=message.pid)
                self._on_change()
            case Unready():
                self.trouble = message.error
                log.error("worker cannot work", device=self.device.label, error=str(message.error))
            case Done():
                self._served += 1
                if message.run in self._runs:
                    self._runs[message.run].resolve(message.report)
            case Broken():
                self._served += 1
                if message.run in self._runs:
                    self._runs[message.run].fail(message.error)

    def _remember(self, memory: DeviceMemory | None) -> None:
        if memory is not None and memory != self.memory:
            self.memory = memory
            self._on_change()

    async def _watch(self, started: float) -> None:
        """Kill the child when it is silent, or does not stop a render in time."""
        looked = started
        while True:
            await asyncio.sleep(LOOK_S)
            self._orphans.reap()
            now = time.monotonic()
            if self._silent_s is not None:
                # what came while this process itself stood still is read only after this
                self._silent_s += min(now - looked, MOST_SILENCE_S)
                if self._silent_s > self._stall_timeout_s:
                    self._kill(ErrorCode.WORKER_STALLED)
            looked = now
            if self.state == "starting" and now - started > START_LIMIT_S:
                self._kill(ErrorCode.WORKER_STALLED)
            if any(now > run.kill_at for run in self._runs.values()):
                self._kill(ErrorCode.WORKER_CRASHED)

    async def _log(self, process: asyncio.subprocess.Process, tail: deque[str]) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            text = line.decode("utf-8", "replace").rstrip()
            tail.append(text)
            log.info("worker says", device=self.device.label, worker=process.pid, line=text[:2000])

    def _kill(self, code: ErrorCode | None) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if code is not None and self._kill_code is None:
            self._kill_code = code
            log.warning("worker killed", device=self.device.label, reason=code.value)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _down(self) -> None:
        self.state = "down"
        self._process = None
        WORKER_UP.labels(self.device.label).set(0)
        self._on_change()

    def _fail_runs(self, code: int, tail: deque[str]) -> None:
        end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        now = time.monotonic()
        if self._runs or code not in (0, -signal.SIGKILL):
            log.warning("worker ended", device=self.device.label, end=end, said=list(tail)[-5:])
        for run in self._runs.values():
            late = now > run.kill_at
            kind = run.kill_code if late else (self._kill_code or ErrorCode.WORKER_CRASHED)
            run.fail(self._ended(end, kind).error)

    def _ended(self, end: str, code: ErrorCode) -> Fault:
        text = f"worker {self.device.label} ended during the render: {end}"
        return Fault.of(code, Stage.GENERATE, text, end=end, device=self.device.label)
