"""Whose frames go into the next batch: a fair share for every job, more for the late ones.

Pure: no thread, no clock, no tensor. `pipeline.batching.batcher` calls it under its lock.

A batch is due when it would be full, or when the oldest frame has waited long enough. Its places go
round the lanes in turn, one frame at a time, so that a job that offers a thousand frames gets no
more than one that offers ten, and a job that offers none takes nothing from anybody. A lane whose
deadline is near is asked `URGENT_TURNS` times as often; even then nobody starves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")

URGENT_S = 10.0
"""A lane this close to its deadline, seconds, is urgent."""
URGENT_TURNS = 4
"""Places that an urgent lane gets for each one of another."""


@dataclass(slots=True, eq=False)
class Line(Generic[Item]):
    """The frames of one job that wait, in order."""

    deadline: float | None = None
    """On the caller's clock, seconds; None: it has all the time."""
    waiting: deque[tuple[float, Item]] = field(default_factory=deque)
    """When each came, and what it is."""


class Shares(Generic[Item]):
    """What waits for one network.

    Args:
        buckets: batch sizes that the network is ready for, ascending.
        max_delay_s: longest wait of a frame for company.
    """

    def __init__(self, buckets: Sequence[int], max_delay_s: float) -> None:
        if not buckets or list(buckets) != sorted(set(buckets)) or buckets[0] < 1:
            raise ValueError(f"buckets {list(buckets)} must be ascending sizes from 1 on")
        self._buckets = list(buckets)
        self._max_delay_s = max_delay_s
        self._lines: deque[Line[Item]] = deque()

    @property
    def limit(self) -> int:
        """Frames of the largest batch; falls when the device has no memory for it."""
        return self._buckets[-1]

    @property
    def lines(self) -> int:
        """Jobs that may offer frames."""
        return len(self._lines)

    def join(self, deadline: float | None = None) -> Line[Item]:
        """A line for a new job."""
        line: Line[Item] = Line(deadline)
        self._lines.append(line)
        return line

    def leave(self, line: Line[Item]) -> None:
        """Drop a line and all that waits in it."""
        self._lines.remove(line)
        line.waiting.clear()

    def put(self, line: Line[Item], items: Iterable[Item], now: float) -> None:
        """Frames of a job, behind those that it has offered before."""
        line.waiting.extend((now, item) for item in items)

    def put_back(self, taken: Sequence[tuple[Line[Item], Item]], now: float) -> None:
        """Frames of a batch that did not run, in front again, but those of lines that left."""
        for line, item in reversed(taken):
            if line in self._lines:
                line.waiting.appendleft((now - self._max_delay_s, item))

    def wait_s(self, now: float) -> float | None:
        """Seconds until a batch is due: 0 when it is, None while nothing waits."""
        count = sum(len(line.waiting) for line in self._lines)
        if not count:
            return None
        if count >= self.limit:
            return 0.0
        oldest = min(line.waiting[0][0] for line in self._lines if line.waiting)
        return max(0.0, oldest + self._max_delay_s - now)

    def take(self, now: float) -> list[tuple[Line[Item], Item]]:
        """The next batch: at most `limit` frames, those of a line side by side and in its order.

        So a job finds what was made of them in one piece of each batch instead of in many.
        """
        turns = deque(line for line in self._lines if line.waiting)
        places = dict.fromkeys(turns, 0)
        left = min(self.limit, sum(len(line.waiting) for line in turns))
        while left:
            line = turns[0]
            wants = URGENT_TURNS if self._urgent(line, now) else 1
            more = min(wants, left, len(line.waiting) - places[line])
            places[line] += more
            left -= more
            if places[line] == len(line.waiting):
                turns.popleft()
            else:
                turns.rotate(-1)
            if not left:  # the next batch begins behind it
                self._lines.rotate(-1 - self._lines.index(line))
        return [
            (line, line.waiting.popleft()[1])
            for line, count in places.items()
            for _ in range(count)
        ]

    def shrink(self) -> bool:
        """Halve the largest batch for good. False when it is a single frame already."""
        if self.limit == 1:
            return False
        half = self.limit // 2
        self._buckets = [size for size in self._buckets if size < half] + [half]
        return True

    @staticmethod
    def _urgent(line: Line[Item], now: float) -> bool:
        return line.deadline is not None and line.deadline - now < URGENT_S
