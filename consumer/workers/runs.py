"""The renders that a worker's child is at: who waits for each, and how long it may go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from consumer.faults import Fault
from consumer.workers.protocol import Beat, Broken, Done, Render, RunTick
from schemas.codes import ErrorCode
from schemas.render import RenderReport

DEADLINE_GRACE_S = 4.0
"""What a render has to stop by itself after its deadline before its process is killed."""
OnProgress = Callable[[RunTick], None]


class Run:
    """One render. Its future is resolved once, by whatever comes first."""

    def __init__(self, order: Render, on_progress: OnProgress) -> None:
        self.order = order
        self.on_progress = on_progress
        self.future: asyncio.Future[RenderReport] = asyncio.get_running_loop().create_future()
        self.kill_at = time.monotonic() + order.budget_s + DEADLINE_GRACE_S
        self.kill_code = ErrorCode.DEADLINE_EXCEEDED

    def resolve(self, report: RenderReport) -> None:
        """It has worked."""
        if not self.future.done():
            self.future.set_result(report)

    def fail(self, fault: Fault) -> None:
        """It has not."""
        if not self.future.done():
            self.future.set_exception(fault)


class Runs:
    """All renders of one worker that are under way."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self.answered = 0
        """Renders to which children gave an answer so far."""

    def __len__(self) -> int:
        return len(self._runs)

    @contextmanager
    def entered(self, order: Render, on_progress: OnProgress) -> Iterator[Run]:
        """A render, known as long as the block lasts."""
        run = self._runs[order.run] = Run(order, on_progress)
        try:
            yield run
        finally:
            self._runs.pop(order.run, None)
            if run.future.done() and not run.future.cancelled():
                run.future.exception()  # seen, even when nobody waits any more

    def hear(self, message: Beat | Done | Broken) -> None:
        """Pass on what the child says of its renders."""
        match message:
            case Beat():
                for tick in message.runs:
                    if tick.run in self._runs:
                        self._runs[tick.run].on_progress(tick)
            case Done():
                self.answered += 1
                if message.run in self._runs:
                    self._runs[message.run].resolve(message.report)
            case Broken():
                self.answered += 1
                if message.run in self._runs:
                    self._runs[message.run].fail(Fault(message.error))

    def overdue(self, now: float) -> bool:
        """Whether, at this monotonic time, one has not stopped as it should."""
        return any(now > run.kill_at for run in self._runs.values())

    def fail(self, killed: ErrorCode | None, ended: Callable[[ErrorCode], Fault]) -> None:
        """Fail all, as their process has ended."""
        now = time.monotonic()
        for run in self._runs.values():
            late = now > run.kill_at
            run.fail(ended(run.kill_code if late else (killed or ErrorCode.WORKER_CRASHED)))
