"""A device of known speed that is no GPU: its work takes time, and neither processor nor lock.

It works as `pipeline.batching.captured` has a GPU work: batches are queued, at most two at a time,
and run one after the other; whoever reads a row waits asleep until its batch is done. All networks
share it, as they share a GPU. What is found so is the batcher's, the jobs' and the interpreter's
part: whether a device of that speed is ever left without work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from torch import Tensor

from pipeline.batching import row
from pipeline.batching.row import Row
from pipeline.batching.runner import Column, Direct, Network, Traits
from pipeline.batching.sizes import Sizes
from pipeline.engines.musetalk import avatar as musetalk_avatar
from pipeline.engines.musetalk import painter as musetalk_painter
from pipeline.engines.neural import engine, painter

Speeds = dict[int, float]
"""Rows/s by batch size."""
Interval = tuple[float, float]
"""Seconds of `time.monotonic`."""


@dataclass(slots=True)
class Device:
    """What it has done, and until when it is busy."""

    worked: list[Interval] = field(default_factory=list)
    rows: int = 0
    """That were asked for."""
    places: int = 0
    """Of the batches that were run; those without a row are wasted."""
    _free: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, seconds: float, rows: int, places: int) -> Interval:
        """Queue some work; when it is done."""
        with self._lock:
            start = max(time.monotonic(), self._free)
            self._free = start + seconds
            self.worked.append((start, self._free))
            self.rows += rows
            self.places += places
            return self.worked[-1]

    def busy(self, first: float, last: float) -> float:
        """Share of the time between two moments in which it worked."""
        inside = sum(max(0.0, min(end, last) - max(start, first)) for start, end in self.worked)
        return inside / (last - first)

    def idle(self, least: float = 0.002) -> list[Interval]:
        """Gaps between its pieces of work."""
        pairs = zip(self.worked, self.worked[1:], strict=False)
        return [(end, start) for (_, end), (start, _) in pairs if start - end > least]

    def clear(self) -> None:
        """Forget what it has done."""
        with self._lock:
            self.worked.clear()
            self.rows = self.places = 0


@dataclass(frozen=True, slots=True)
class Done:
    """Stands for the event behind a batch."""

    at: float

    def synchronize(self) -> None:
        """Sleep until then."""
        left = self.at - time.monotonic()
        if left > 0:
            time.sleep(left)


class Paced:
    """`pipeline.batching.runner.Runner` on such a device."""

    def __init__(
        self,
        device: Device,
        network: Network,
        columns: Sequence[Column],
        buckets: Sequence[int],
        speeds: Speeds,
    ) -> None:
        self._device = device
        self._host = Direct(network, columns, "cpu")
        self._sizes = Sizes(buckets)
        self._speeds = speeds
        self._stages = [Done(0.0), Done(0.0)]

    def __call__(self, columns: Sequence[Sequence[Tensor]]) -> list[Row]:
        """Queue a batch; wait only while two are queued already."""
        self._stages[0].synchronize()
        rows = self._host(columns)
        size = self._sizes.holding(len(rows))
        done: Any = Done(self._device.work(size / self._speeds[size], len(rows), size)[1])
        self._stages = [self._stages[1], done]
        return [Row(each.batch, each.index, done) for each in rows]

    def warm(self, size: int) -> None:
        """There is nothing to wait for."""


def _gather(rows: Sequence[Row]) -> Tensor:
    for done in {id(each.done): each.done for each in rows}.values():
        if done is not None:
            done.synchronize()
    return row.gather([Row(each.batch, each.index) for each in rows])


@contextmanager
def paced(speeds: dict[str, Speeds]) -> Iterator[Device]:
    """Painters that are made inside run on such a device.

    Args:
        speeds: by the last word of a network's name; others run as they are.
    """
    device = Device()

    def runner_on(
        name_of_device: str,
        network: Network,
        columns: Sequence[Column],
        buckets: Sequence[int],
        traits: Traits,
        threads: int = 1,
    ) -> Any:
        known = speeds.get(traits.name.split()[-1])
        if known is None:
            return Direct(network, columns, name_of_device, threads)
        return Paced(device, network, columns, buckets, known)

    made: Callable[[Sequence[Row]], Tensor] = _gather
    with ExitStack() as stack:
        stack.enter_context(patch.object(painter, "runner_on", runner_on))
        for module in (engine, musetalk_painter, musetalk_avatar):
            stack.enter_context(patch.object(module, "gather", made))
        yield device
