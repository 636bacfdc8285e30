"""The workers of this replica and their slots: who may render now, first come, first served.

A slot is held only while a render runs. A job that may have ended a worker before asks to be
`alone`: it waits until a worker has no other job, so that it can harm nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import structlog

from consumer.faults import Fault
from consumer.metrics import SLOTS_BUSY, SLOTS_TOTAL
from consumer.places import elsewhere
from consumer.settings import Settings
from consumer.workers.devices import placed
from consumer.workers.protocol import PIPELINE, Start
from consumer.workers.slot_budget import Slots, choose
from consumer.workers.worker import Worker
from schemas.codes import ErrorCode, Stage

ALONE = 1_000_000
"""Counts as more slots than any worker has, however many it will have."""
ABSENT = "absent"
"""Stands for the revision of an engine that is not here: failures need an identity, too."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine of one job."""

    name: str
    revision: str
    fault: Fault | None = None
    """Why it cannot be used."""
    avatars: tuple[str, ...] = ()
    """Folders of kept avatars that it looks into, under a video's digest."""


@dataclass(slots=True, eq=False)
class _Waiter:
    alone: bool
    turn: asyncio.Future[Worker]


class Fleet:
    """All workers. Made without a running loop; `start` needs one."""

    def __init__(self, settings: Settings, renderer: str = PIPELINE) -> None:
        self._settings = settings
        self._slots: dict[Worker, Slots] = {}
        devices, self.processors = placed(settings)
        """Of each worker."""
        start = Start(renderer, settings.engine, self.processors, settings.gpu_networks)
        self.workers: Sequence[Worker] = [
            Worker(
                device,
                start,
                stall_timeout_s=settings.stall_timeout_s,
                on_change=self._changed,
            )
            for device in devices
        ]
        self._busy: dict[Worker, int] = dict.fromkeys(self.workers, 0)
        self._queue: deque[_Waiter] = deque()
        self._news = asyncio.Event()
        self._count_slots()
        for worker in self.workers:
            SLOTS_BUSY.labels(worker.device.label).set(0)

    @property
    def capacity(self) -> int:
        """Renders that can run at a time."""
        return sum(self.slots_of(worker) for worker in self.workers)

    def slots_of(self, worker: Worker) -> int:
        """Renders that a worker may run at a time, by now."""
        return self._slots[worker].count

    @property
    def busy(self) -> bool:
        """True while something renders."""
        return any(self._busy.values())

    @property
    def ready(self) -> bool:
        """True while at least one worker can render."""
        return any(worker.state == "ready" for worker in self.workers)

    def start(self) -> None:
        """Start all workers in the background."""
        for worker in self.workers:
            worker.start()

    async def stop(self) -> None:
        """End all workers and what they render."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    def why_not_ready(self) -> str | None:
        """The reason that a worker gave for not working here; None while one may work."""
        if any(worker.state == "ready" or worker.trouble is None for worker in self.workers):
            return None
        return "; ".join(str(w.trouble.message) for w in self.workers if w.trouble is not None)

    def health(self) -> dict[str, Any]:
        """What `/health` shows of the workers."""
        return {
            worker.device.label: {
                "state": worker.state,
                "pid": worker.pid,
                "busy": self._shown(worker),
                "slots": self.slots_of(worker),
                "slots_why": self._slots[worker].why,
                "networks": worker.networks,
                "networks_at_best": worker.ladder.way if worker.device.visible else None,
                "restarts": worker.restarts,
                "trouble": worker.trouble.message if worker.trouble else None,
            }
            for worker in self.workers
        }

    # --- engines

    def engines(self) -> dict[str, str]:
        """Engines that can run here by their versions; empty until a worker has said it."""
        said = worker.facts if (worker := self._teller()) is not None else None
        return {engine.name: engine.version for engine in said.engines} if said else {}

    async def engine(self, name: str) -> EngineChoice:
        """The engine of that name; waits until a worker has said what it can run.

        One that was missing is looked for again: its files may have come.
        """
        while (worker := self._teller()) is None:
            self._news.clear()
            # no drain shall wait for a worker that may never be ready
            with elsewhere() if self.why_not_ready() else nullcontext():
                await self._news.wait()
        if worker.facts is not None and name in worker.facts.missing:
            await worker.look()
        said = worker.facts
        assert said is not None, "that is how it was found"
        for engine in said.engines:
            if engine.name == name:
                folders = tuple(said.avatars.get(name, ()))
                return EngineChoice(name, engine.revision, avatars=folders)
        if name in said.missing:
            return EngineChoice(name, ABSENT, Fault(said.missing[name]))
        known = [engine.name for engine in said.engines]
        fault = Fault.of(
            ErrorCode.UNKNOWN_ENGINE,
            Stage.ADMIT,
            f"no engine is called {name!r}: choose one of {', '.join(known)}",
            engine=name,
            known=known,
        )
        return EngineChoice(name, ABSENT, fault)

    async def told(self) -> bool:
        """Wait while workers start: True when one has said what it can run, False when none can."""
        while (teller := self._teller()) is None and self.why_not_ready() is None:
            self._news.clear()
            await self._news.wait()
        return teller is not None

    def _teller(self) -> Worker | None:
        """A worker that has said what it can run, at best one that can be asked again."""
        said = [worker for worker in self.workers if worker.facts is not None]
        return min(said, key=lambda worker: worker.state != "ready", default=None)

    # --- slots

    @asynccontextmanager
    async def slot(self, *, alone: bool = False) -> AsyncIterator[Worker]:
        """Wait for a free slot of a ready worker and hold it."""
        waiter = _Waiter(alone, asyncio.get_running_loop().create_future())
        self._queue.append(waiter)
        self._serve()
        try:
            worker = await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._queue.remove(waiter)
            if waiter.turn.done() and not waiter.turn.cancelled():
                self._give_back(waiter.turn.result(), alone)
            self._serve()
            raise
        try:
            yield worker
        finally:
            self._give_back(worker, alone)
            self._serve()

    def _count_slots(self) -> None:
        settings = self._settings
        for worker in self.workers:
            chosen = choose(
                settings.slots, worker.memory, settings.workers_per_gpu, self.processors
            )
            before = self._slots.get(worker)
            self._slots[worker] = chosen
            SLOTS_TOTAL.labels(worker.device.label).set(chosen.count)
            if before is not None and before.count != chosen.count:
                log.info("slots", device=worker.device.label, slots=chosen.count, why=chosen.why)

    def _changed(self) -> None:
        self._count_slots()
        self._news.set()
        self._serve()

    def _serve(self) -> None:
        """Give slots to those who wait, in order; one that wants a worker alone holds up the rest.

        Otherwise it would wait for ever behind a stream of small jobs.
        """
        while self._queue:
            waiter = self._queue[0]
            worker = self._find(waiter.alone)
            if worker is None:
                return
            self._queue.popleft()
            if waiter.turn.done():
                continue
            self._take(worker, ALONE if waiter.alone else 1)
            waiter.turn.set_result(worker)

    def _find(self, alone: bool) -> Worker | None:
        free = [
            w
            for w in self.workers
            if w.state == "ready" and self._busy[w] <= (0 if alone else self.slots_of(w) - 1)
        ]
        return min(free, key=lambda w: self._busy[w], default=None)

    def _give_back(self, worker: Worker, alone: bool) -> None:
        self._take(worker, -ALONE if alone else -1)

    def _take(self, worker: Worker, slots: int) -> None:
        self._busy[worker] += slots
        SLOTS_BUSY.labels(worker.device.label).set(self._shown(worker))

    def _shown(self, worker: Worker) -> int:
        """Busy slots; a job that is alone has all of them."""
        busy = self._busy[worker]
        return self.slots_of(worker) if busy >= ALONE else busy
