"""What a worker child does: takes renders, each in a thread, beats, and ends where it is broken."""

from __future__ import annotations

import faulthandler
import importlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO

from consumer.allocator import keep_from_collector
from consumer.workers.protocol import (
    EXIT_STICKY,
    PIPELINE,
    Beat,
    Broken,
    Cancel,
    Done,
    Engines,
    Look,
    Message,
    Ready,
    Render,
    RunTick,
    Unready,
    encode,
    read_parent,
)
from consumer.workers.rendering import (
    check_default,
    describe,
    get_ready,
    hangs,
    is_sticky,
    missing,
    networks,
    spec_of,
    watched,
)
from schemas.codes import ErrorCode, Stage
from schemas.device import DeviceMemory
from schemas.render import RenderReport

if TYPE_CHECKING:
    from pipeline.device_memory import MemoryWatch
    from pipeline.types import RenderSpec, Tick

BEAT_S = 1.0
HUNG_BEATS = 3
EXIT_UNREADY, EXIT_FRESH = 72, 73

Renderer = Callable[["RenderSpec", Callable[["Tick"], None]], RenderReport]


class _Run:
    """One render, as its thread and the heartbeat see it."""

    def __init__(self, order: Render) -> None:
        self.order = order
        self.cancelled = threading.Event()
        self.end = time.monotonic() + order.budget_s
        self.tick = RunTick(run=order.run, stage="probe", done=0, total=0)

    def on_tick(self, tick: Tick) -> None:
        """Note the progress; stop the render when nobody wants it or its time is over.

        Raises:
            Cancelled: the parent asked to stop.
            DeadlineExceeded: the render has used up its budget.
        """
        from pipeline.errors import Cancelled, DeadlineExceeded

        run = self.order.run
        self.tick = RunTick(run=run, stage=tick.stage, done=tick.done, total=tick.total)
        if self.cancelled.is_set():
            raise Cancelled("stopped on request", stage=_stage(tick.stage))
        if time.monotonic() > self.end:
            limit = self.order.budget_s
            raise DeadlineExceeded(
                f"the render took longer than its {limit:.0f} s",
                stage=_stage(tick.stage),
                budget_s=limit,
            )


class Server:
    """The process's only object: threads, the pipe, the running renders."""

    def __init__(self, pipe: BinaryIO, device: str, warm: str | None = None) -> None:
        self._pipe = pipe
        self._device = device
        self._warm = warm
        self._write = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._module: Any = None
        self._pipeline = False
        self._render: Renderer | None = None
        self._memory: MemoryWatch | None = None

    def serve(self, renderer: str) -> None:
        """Beat, import, say ready, then take orders until the parent is gone."""
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        ready = self._load(renderer)
        self._send(ready)
        for line in sys.stdin.buffer:
            order = read_parent(line)
            if isinstance(order, Cancel):
                self._cancel(order.run)
            elif isinstance(order, Look):
                threading.Thread(target=self._look, name="look", daemon=True).start()
            else:
                self._start(order)
        os._exit(0)  # running renders are nobody's any more

    def _load(self, renderer: str) -> Ready:
        module_name, _, function = renderer.partition(":")
        self._pipeline = renderer == PIPELINE
        try:
            self._module = importlib.import_module(module_name)
            self._render = getattr(self._module, function)
            if self._pipeline:
                check_default(self._warm, self._device)
            told = self._told()
            if self._pipeline:
                get_ready(self._device, self._warm)
            self._memory = watched(self._device)
            keep_from_collector()
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
            why = describe(error, ErrorCode.ENGINE_UNAVAILABLE)
            if why.code is not ErrorCode.WEIGHTS_MISSING:  # which says what to do
                traceback.print_exc()
            self._send(Unready(error=why))
            broken = is_sticky(error) and networks(self._device)[0]  # it had answered until then
            os._exit(EXIT_STICKY if broken else EXIT_UNREADY)
        ways, slowed = networks(self._device)
        return Ready(
            pid=os.getpid(),
            device=self._device,
            **told,
            memory=self._held(),
            networks=ways,
            slowed=slowed,
        )

    def _told(self) -> dict[str, Any]:
        """What of `engines` and `ready` depends on the files of this machine."""
        folders = getattr(self._module, "avatar_folders", None)
        return {
            "engines": list(self._module.engines()),
            "missing": missing(self._device) if self._pipeline else {},
            "avatars": folders(self._device) if folders else {},
        }

    def _look(self) -> None:
        try:
            self._send(Engines(**self._told()))
        except Exception:  # noqa: BLE001 - the parent goes by what it was told before
            traceback.print_exc()

    def _start(self, order: Render) -> None:
        run = self._runs[order.run] = _Run(order)
        thread = threading.Thread(target=self._work, args=(run,), name=order.run, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # by a limit of processes: the other renders go on
            del self._runs[order.run]
            self._send(Broken(run=order.run, error=describe(error, ErrorCode.INTERNAL)))

    def _cancel(self, run: str) -> None:
        if run in self._runs:
            self._runs[run].cancelled.set()

    def _work(self, run: _Run) -> None:
        answer: Message
        sticky = fresh = False
        try:
            assert self._render is not None
            with self._memory.job() if self._memory else nullcontext():
                report = self._render(spec_of(run.order, self._device, run.end), run.on_tick)
            answer = Done(run=run.order.run, report=report)
        except Exception as error:  # noqa: BLE001 - one render must not end the others
            error_facts = describe(error, ErrorCode.INTERNAL)
            if error_facts.code in (ErrorCode.INTERNAL, ErrorCode.ENGINE_FAILED):
                traceback.print_exc()
            sticky = is_sticky(error)
            fresh = error_facts.code is ErrorCode.OUT_OF_MEMORY and self._device != "cpu"
            answer = Broken(run=run.order.run, error=error_facts)
        del self._runs[run.order.run]
        self._send(answer)
        if sticky:
            os._exit(EXIT_STICKY)
        if fresh and not self._runs:
            os._exit(EXIT_FRESH)  # a new process has all of the device's memory, unfragmented

    def _beat(self) -> None:
        hung = 0
        while True:
            runs = [run.tick for run in list(self._runs.values())]
            ways, slowed = networks(self._device)
            self._send(Beat(runs=runs, memory=self._held(), networks=ways, slowed=slowed))
            hung = hung + 1 if hangs(self._device) else 0
            if hung > HUNG_BEATS:  # fewer may be those of a process that stood still itself
                faulthandler.dump_traceback()
                os._exit(EXIT_STICKY)
            time.sleep(BEAT_S)

    def _held(self) -> DeviceMemory | None:
        return self._memory.held() if self._memory else None

    def _send(self, message: Message) -> None:
        line = memoryview(encode(message))
        with self._write:
            try:
                while line:
                    line = line[self._pipe.write(line) :]
            except OSError:
                os._exit(0)  # the parent is gone


def _stage(name: str) -> Stage:
    return Stage(name) if name in Stage.__members__.values() else Stage.GENERATE
