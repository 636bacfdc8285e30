"""One device's worker: what it is asked to render, and the children that do it, one after another.

A render ends in exactly one of these ways: the child answers; the child ends (WORKER_CRASHED); it
shows no life (WORKER_STALLED) or does not stop in time (DEADLINE_EXCEEDED, CANCELLED) and is
killed (`consumer.workers.child`). The next child starts after a pause that grows while no render
succeeds.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import structlog

from consumer.background import ended
from consumer.faults import Fault
from consumer.metrics import GPU_NETWORKS, SLOWED_NETWORKS, WORKER_RESTARTS, WORKER_UP
from consumer.waiting import growing
from consumer.workers.child import Child
from consumer.workers.devices import Device
from consumer.workers.ladder import Ladder
from consumer.workers.looking import Looking
from consumer.workers.orphans import Orphans
from consumer.workers.protocol import (
    Beat,
    Broken,
    Cancel,
    Done,
    Engines,
    Look,
    Message,
    Ready,
    Render,
    Start,
    Unready,
)
from consumer.workers.runs import OnProgress, Run, Runs
from schemas.codes import ErrorCode, Stage
from schemas.device import WAYS, DeviceMemory, Way
from schemas.render import ErrorFacts, RenderReport

CANCEL_GRACE_S = 1.2
"""What a render has to stop by itself before its process is killed."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
State = Literal["starting", "ready", "down"]
log = structlog.get_logger(__name__)


class Worker:
    """One device's child process, started again whenever it ends."""

    def __init__(
        self,
        device: Device,
        start: Start,
        *,
        stall_timeout_s: float,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self._start = start
        self.state: State = "starting"
        self.facts: Ready | None = None
        """What the child said when it became ready, or since; kept while it is down."""
        self.trouble: ErrorFacts | None = None
        """Why it cannot become ready, as far as it could say so itself."""
        self._unready = False
        """The last child said so itself."""
        self.memory: DeviceMemory | None = None
        """Of its GPU, as the child measured it last; kept while it is down."""
        self.networks: dict[str, Way] = {}
        """How each runs on its GPU; kept while it is down."""
        self._slowed: list[str] = []
        self.ladder = Ladder(start.networks)
        self.restarts = 0
        self._stall_timeout_s = stall_timeout_s
        self._on_change = on_change
        self._child: Child | None = None
        self._orphans = Orphans()
        self._runs = Runs()
        self._looking = Looking(lambda: self._tell(Look()))
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        WORKER_RESTARTS.labels(device.label)  # from 0 on, or the first one is seen by no alert
        WORKER_UP.labels(device.label).set(0)  # also of one that hangs while it starts

    @property
    def pid(self) -> int | None:
        """Process id of the child that runs now."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the child in the background."""
        self._task = asyncio.create_task(self._supervise(), name=f"worker-{self.device.label}")

    async def stop(self) -> None:
        """End the child and what it renders."""
        task, self._task = self._task, None
        await ended(task)

    def next_run(self) -> str:
        """An identity for the next render."""
        return f"{self.device.label}-{next(self._numbers)}"

    async def render(self, order: Render, on_progress: OnProgress) -> RenderReport:
        """Render in the child; being cancelled stops it there, or kills it.

        Raises:
            Fault: what the child reports, or WORKER_CRASHED, WORKER_STALLED, DEADLINE_EXCEEDED.
        """
        if self.state != "ready":
            raise self._ended("it was not ready", ErrorCode.WORKER_CRASHED)
        with self._runs.entered(order, on_progress) as run:
            try:
                await self._tell(order)
                return await asyncio.shield(run.future)
            except asyncio.CancelledError:
                await self._stop_run(run)
                raise

    async def look(self) -> None:
        """Let the child, if one is ready, say anew what it can run."""
        if self.state == "ready":
            await self._looking.look()

    async def _stop_run(self, run: Run) -> None:
        run.kill_code = ErrorCode.CANCELLED
        run.kill_at = min(run.kill_at, time.monotonic() + CANCEL_GRACE_S)
        await self._tell(Cancel(run=run.order.run))
        await asyncio.wait([run.future], timeout=CANCEL_GRACE_S + 5.0)

    async def _tell(self, message: Message) -> None:
        if self._child is not None:
            await self._child.tell(message)

    async def _supervise(self) -> None:
        pauses = growing(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        try:
            while True:
                answered = self._runs.answered
                self.state = "starting"
                try:
                    await self._live()
                except Exception as error:  # noqa: BLE001 - else nothing is rendered here ever again
                    self._miss(error)
                if self._runs.answered > answered:
                    pauses = growing(FIRST_PAUSE_S, LONGEST_PAUSE_S)
                pause = next(pauses)
                self.restarts += 1
                WORKER_RESTARTS.labels(self.device.label).inc()
                # one that says itself that it cannot work here
                await asyncio.sleep(LONGEST_PAUSE_S if self._unready else pause)
        finally:
            self._down()

    def _miss(self, error: Exception) -> None:
        """There is no child, as none could be started, or the watch over it broke off."""
        said = f"{type(error).__name__}: {error}"
        text = f"worker {self.device.label} could not be started or watched: {said}"
        self.trouble = Fault.of(ErrorCode.ENGINE_UNAVAILABLE, Stage.GENERATE, text[:1000]).error
        log.error("no worker; tried again", device=self.device.label, exc_info=error)
        self._on_change()

    async def _live(self) -> None:
        """One child, from its start to its end."""
        self._unready = False
        start = replace(self._start, networks=self.ladder.way)
        child = self._child = Child(
            self.device,
            start.arguments(self.device.torch_name),
            self._stall_timeout_s,
            self._hear,
            self._runs.overdue,
            self._orphans,
        )
        try:
            await child.live()
        finally:
            self._down()
            if child.code is not None:
                self._fail_runs(child, child.code)
                self._heed(child, child.code)

    def _heed(self, child: Child, code: int) -> None:
        stalled = child.kill_code is ErrorCode.WORKER_STALLED
        before = self.ladder.way
        if self.device.visible and self.ladder.ended(ready=child.ready, code=code, stalled=stalled):
            log.warning(
                "networks go a slower way, as workers end before they are ready",
                device=self.device.label,
                way=self.ladder.way,
                before=before,
                setting=f"F2F_GPU_NETWORKS={self.ladder.way} would not try",
            )

    def _hear(self, message: Message) -> None:
        match message:
            case Beat():
                self._remember(message)
                self._runs.hear(message)
            case Ready():
                self.facts, self.trouble, self.state = message, None, "ready"
                self._remember(message)
                WORKER_UP.labels(self.device.label).set(1)
                log.info("worker ready", device=self.device.label, worker=message.pid)
                self._on_change()
            case Unready():
                self.trouble, self._unready = message.error, True
                log.error(
                    "worker cannot work", device=self.device.label, error=message.error.message
                )
            case Engines() if self.facts is not None:
                self.facts = self.facts.by_now(message)
                self._looking.over()
            case Done() | Broken():
                self._runs.hear(message)

    def _remember(self, said: Beat | Ready) -> None:
        if said.networks != self.networks or said.slowed != self._slowed:
            self.networks, self._slowed = said.networks, said.slowed
            self._count_networks()
        if said.memory is not None and said.memory != self.memory:
            self.memory = said.memory
            self._on_change()

    def _count_networks(self) -> None:
        ways = list(self.networks.values())
        for way in WAYS:
            GPU_NETWORKS.labels(self.device.label, way).set(ways.count(way))
        slowed = self._slowed if self.ladder.way == self._start.networks else self.networks
        SLOWED_NETWORKS.labels(self.device.label).set(len(slowed))

    def _down(self) -> None:
        self.state = "down"
        self._child = None
        self._looking.over()
        WORKER_UP.labels(self.device.label).set(0)
        self._on_change()

    def _fail_runs(self, child: Child, code: int) -> None:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if self._runs or code not in (0, -signal.SIGKILL):
            said = list(child.said)[-5:]
            log.warning("worker ended", device=self.device.label, end=how, said=said)
        self._runs.fail(child.kill_code, partial(self._ended, how))

    def _ended(self, how: str, code: ErrorCode) -> Fault:
        text = f"worker {self.device.label} ended during the render: {how}"
        return Fault.of(code, Stage.GENERATE, text, end=how, device=self.device.label)
