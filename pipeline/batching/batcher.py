"""The thread that feeds one network with the frames of all running jobs.

Who calls what: a job opens a lane, `submit`s frames ahead of its need, and `take`s what was made of
them, in order. One thread collects the batches (`shares`) and runs them one after the other. A job
that does not take is only not fed any more: it holds up nobody. When the device has no memory for a
batch, the batch is halved for good and its frames run again; any other error reaches the jobs whose
frames were in that batch, and no others. The thread lives while there are lanes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pipeline.batching.cuda import give_back_memory, is_out_of_memory
from pipeline.batching.shares import Line, Shares

Item = TypeVar("Item")
Made = TypeVar("Made")

MAX_DELAY_S = 0.01
"""Longest wait of a frame for company. A batch takes several times as long."""


class Lane(Generic[Item, Made]):
    """One job's way through the batcher. Not shared between threads."""

    def __init__(self, batcher: Batcher[Item, Made], line: Line[Item]) -> None:
        self._batcher = batcher
        self.line = line
        self.made: queue.SimpleQueue[Made | BaseException] = queue.SimpleQueue()
        self.outstanding = 0
        """Frames submitted and not yet taken."""

    def __enter__(self) -> Lane[Item, Made]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, items: Sequence[Item]) -> None:
        """Offer frames; returns at once."""
        self.outstanding += len(items)
        self._batcher.offer(self, items)

    def take(self) -> Made:
        """What was made of the oldest frame; waits for it.

        Raises:
            Exception: what running its batch raised.
        """
        if self.outstanding == 0:
            raise ValueError("nothing was submitted that could be taken")
        made = self.made.get()
        self.outstanding -= 1
        if isinstance(made, BaseException):
            raise made
        return made

    def close(self) -> None:
        """Forget what waits. Calling it again does nothing."""
        self._batcher.drop(self)


class Batcher(Generic[Item, Made]):
    """Shared batches of one network on one device.

    Args:
        run: makes one result for each item of a batch, in order. Called from one thread at a time.
            May return before the device has finished.
        buckets: batch sizes that `run` is ready for, ascending.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Made]],
        buckets: Sequence[int],
        max_delay_s: float = MAX_DELAY_S,
    ) -> None:
        self._run = run
        self._shares: Shares[Item] = Shares(buckets, max_delay_s)
        self._lanes: dict[Line[Item], Lane[Item, Made]] = {}
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def limit(self) -> int:
        """Frames of the largest batch; falls when the device has no memory for it."""
        return self._shares.limit

    def open(self, deadline: float | None = None) -> Lane[Item, Made]:
        """A lane for one job; it goes first near its `deadline`, a monotonic second.

        Raises:
            RuntimeError: no thread can be started, by a limit of processes.
        """
        with self._news:
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="f2f-batch", daemon=True)
                thread.start()  # else there is no lane either: nobody would serve it, ever
                self._thread = thread
            lane = Lane(self, self._shares.join(deadline))
            self._lanes[lane.line] = lane
        return lane

    def keep_below(self, size: int) -> None:
        """The device has no memory for batches of this size: make smaller ones from now on."""
        with self._news:
            while self._shares.limit >= size and self._shares.shrink():
                pass
        give_back_memory()

    def offer(self, lane: Lane[Item, Made], items: Sequence[Item]) -> None:
        """Queue frames of a lane; `Lane.submit` calls it.

        Raises:
            ValueError: the lane is closed.
        """
        with self._news:
            if lane.line not in self._lanes:
                raise ValueError("the lane is closed")
            self._shares.put(lane.line, items, time.monotonic())
            self._news.notify()

    def drop(self, lane: Lane[Item, Made]) -> None:
        """Forget a lane and what it still waits for; `Lane.close` calls it."""
        with self._news:
            if self._lanes.pop(lane.line, None) is not None:
                self._shares.leave(lane.line)
                self._news.notify()

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            self._make(batch)

    def _next(self) -> list[tuple[Line[Item], Item]] | None:
        """The next batch when it is due; None when the last lane has gone."""
        with self._news:
            while self._lanes:
                now = time.monotonic()
                wait = self._shares.wait_s(now)
                if wait == 0.0:
                    return self._shares.take(now)
                self._news.wait(wait)
            self._thread = None
            return None

    def _make(self, batch: list[tuple[Line[Item], Item]]) -> None:
        made: Sequence[Made | BaseException] | None
        try:
            made = self._made(batch)
        except BaseException as error:  # noqa: BLE001 - raised again in the jobs that it concerns
            made = [error] * len(batch)
        if made is None:
            return
        with self._news:
            lanes = [self._lanes.get(line) for line, _ in batch]
        for lane, result in zip(lanes, made, strict=True):
            if lane is not None:
                lane.made.put(result)

    def _made(self, batch: list[tuple[Line[Item], Item]]) -> Sequence[Made] | None:
        """What the network made; None where the batch is to run again, as smaller ones."""
        try:
            return self._run([item for _, item in batch])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            with self._news:
                if not self._shares.shrink():
                    raise
        give_back_memory()  # without the error, whose frames hold what the batch took
        with self._news:
            self._shares.put_back(batch, time.monotonic())
        return None
