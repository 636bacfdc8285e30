"""A small pool of daemon threads for calls that block.

The standard executors are joined when the interpreter ends, so that one read on a store that hangs
would hold up the end of the service for as long as its time-out. These threads are left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
_Item = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class DaemonPool:
    """At most `size` calls at a time; threads start when they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._threads = 0
        self._calls = 0
        """That wait or are made now."""
        self._counting = threading.Lock()
        self._closed = False

    def check(self) -> None:
        """Have a thread at least, so that calls can be made.

        Raises:
            OSError: the machine gives this process none.
        """
        if not self._threads and not self._closed:
            self._start()

    def submit(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Begin a call; the future belongs to the running loop.

        Raises:
            RuntimeError: the pool is closed.
            OSError: the machine gives this process no thread, and the pool has none yet.
        """
        if self._closed:
            raise RuntimeError(f"pool {self._name} is closed")
        loop = asyncio.get_running_loop()
        if self._calls >= self._threads and self._threads < self._size:
            self._start()
        self._count(1)
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put((call, loop, future))
        return future

    def _start(self) -> None:
        """One thread more; where none can be had, the call waits for those that there are."""
        name = f"{self._name}-{self._threads + 1}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError as error:
            if not self._threads:
                raise OSError(errno.EAGAIN, str(error)) from error
        else:
            self._threads += 1

    def close(self) -> None:
        """Take no more calls; threads end after what they do now."""
        self._closed = True
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            call, loop, future = item
            if not (self._closed or future.cancelled()):
                with _Handover(loop, future) as handover:
                    handover.result = call()
            del item, call, future  # or the last result would be kept until the next call
            self._count(-1)

    def _count(self, calls: int) -> None:
        with self._counting:
            self._calls += calls


class _Handover:
    """Hands what a call returned or raised to whoever waits for it in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        self._loop = loop
        self._future = future
        self.result: Any = None

    def __enter__(self) -> _Handover:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all who waited with it
            self._loop.call_soon_threadsafe(self._tell, error)
        return True

    def _tell(self, error: BaseException | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(self.result)
        else:
            self._future.set_exception(error)
