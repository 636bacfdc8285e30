"""Overlapping the stages of one job: a thread before, a thread after, bounded queues between.

torch, libavcodec and x264 release the interpreter's lock, so stages in threads use the cores
without copying frames between processes. A queue holds a handful of items: memory stays flat.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")

_POLL_S = 0.1


class _End:
    """Closes a queue; carries what went wrong on the other side, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of so many items that follow each other; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def prefetch(items: Iterable[Item], depth: int, name: str) -> Generator[Item, None, None]:
    """Run an iterator in a thread of its own, at most `depth` items ahead.

    An error of the iterator is raised here, at its place in the order. Closing the returned
    iterator stops the thread and waits for it, so that files are closed before scratch goes.
    """
    line: queue.Queue[Item | _End] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def offer(item: Item | _End) -> bool:
        while not stop.is_set():
            try:
                line.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        end = _End()
        try:
            for item in items:
                if not offer(item):
                    break
        except BaseException as error:  # noqa: BLE001 - re-raised by the reader, nothing is hidden
            end = _End(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        offer(end)

    thread = threading.Thread(target=run, name=f"f2f-{name}", daemon=True)
    thread.start()
    try:
        while True:
            item = line.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()


class Sink(Generic[Item]):
    """A consumer in a thread of its own, at most `depth` items behind.

    `put` raises what the consumer raised; `close` waits for the last item and raises likewise;
    `abort` drops what is queued.
    """

    def __init__(self, consume: Callable[[Item], None], depth: int, name: str) -> None:
        self._consume = consume
        self._line: queue.Queue[Item | _End] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._failed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"f2f-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            item = self._line.get()
            if isinstance(item, _End):
                return
            if self._failed.is_set():
                continue
            try:
                self._consume(item)
            except BaseException as error:  # noqa: BLE001 - re-raised by the writer
                self._error = error
                self._failed.set()

    def put(self, item: Item) -> None:
        """Hand one item over; blocks while the queue is full."""
        self._raise()
        self._line.put(item)

    def close(self) -> None:
        """Wait until every item is consumed."""
        self._line.put(_End())
        self._thread.join()
        self._raise()

    def abort(self) -> None:
        """Consume nothing more, and wait for the thread."""
        self._failed.set()
        self._line.put(_End())
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
