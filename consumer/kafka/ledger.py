"""Which records of one partition are finished, and what may be committed. Pure: no I/O, no clock.

Jobs end out of order. What is committed is the smallest offset that is not finished, and the
finished offsets above it travel in the metadata of the commit, so that a crash repeats only what
was really unfinished. Offsets may have gaps (compaction, transaction markers).

What the ledger knows stays true when the partition moves to another replica and comes back: a
finished record is finished. Only when the group's offset went back on purpose (an operator's
reset) or the log itself was cut does it forget, so that those records are taken again.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from consumer.kafka.offset_runs import OffsetRuns, pack, unpack


class Seen(Enum):
    """What a delivered record is to the ledger."""

    NEW = auto()
    """To be worked on now."""
    RUNNING = auto()
    """Delivered again while its job runs here."""
    FINISHED = auto()
    """Delivered again after it was finished, here or elsewhere."""


class Commit(NamedTuple):
    """What to commit for a partition."""

    offset: int
    """The smallest offset that is not finished: where a new owner starts reading."""
    metadata: str
    """Finished offsets above it, at most 4096 bytes."""
    left_out: int
    """Finished offsets that did not fit into the metadata."""


class Ledger:
    """The book of one partition."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._overtaken: set[int] = set()
        """Running here still, although the group counts them as finished."""
        self._open: set[int] = set()
        """Given up without an end: they come again and hold the commit back until then."""
        self._finished = OffsetRuns()
        self._next: int | None = None
        """One past the highest offset that was delivered or restored, and past what is finished
        behind it."""
        self._restored = 0
        self._acknowledged = 0
        self._known = False

    @property
    def known(self) -> bool:
        """True when the group had, or took, a commit of this log."""
        return self._known

    @property
    def running(self) -> frozenset[int]:
        """Offsets whose jobs run now."""
        return frozenset(self._running)

    @property
    def position(self) -> int | None:
        """The smallest offset that is not finished; None before the first record or restore."""
        if self._next is None:
            return None
        return min([self._finished.end_of_run(self._next), *self._running, *self._open])

    def admit(self, offset: int) -> Seen:
        """Enter a delivered offset; NEW ones count as running from now on."""
        if offset in self._running:
            return Seen.RUNNING
        if offset < self._restored:  # only a log that was cut delivers below its group's offset
            self._forget(offset)
        position = self.position
        if offset in self._finished or (position is not None and offset < position):
            return Seen.FINISHED
        self._open.discard(offset)
        self._running.add(offset)
        self._next = max(self._next or 0, offset + 1)
        if offset in self._overtaken:  # set back by hand it is wanted again, and is at work
            self._overtaken.discard(offset)
            return Seen.RUNNING
        return Seen.NEW

    def passed(self, offset: int) -> bool:
        """Enter that reading went on to `offset`: what was not delivered below it is no record.

        The marker that ends a transaction takes an offset and is never delivered.

        Returns:
            True when that is news.
        """
        if offset <= (self._next or 0):
            return False
        self._next = offset
        self._tidy()
        return True

    def finish(self, offset: int) -> None:
        """Enter that a running record is finished; without effect when it is not running here."""
        self._overtaken.discard(offset)
        if offset in self._running:
            self._running.discard(offset)
            self._finished.add(offset)
            self._tidy()

    def release(self, offset: int) -> None:
        """Enter that a running record was given up: unfinished, and to be delivered again."""
        self._overtaken.discard(offset)
        if offset in self._running:
            self._running.discard(offset)
            self._open.add(offset)

    def commit(self) -> Commit | None:
        """What may be committed now; None when nothing is known yet."""
        position = self.position
        if position is None:
            return None
        metadata, left_out = pack(position, self._finished.above(position))
        return Commit(position, metadata, left_out)

    def acknowledged(self, commit: Commit) -> None:
        """Enter that the broker took a commit."""
        self._acknowledged = max(self._acknowledged, commit.offset)
        self._known = True

    def restore(self, offset: int | None, metadata: str = "") -> None:
        """Enter what the group has committed; at each assignment of the partition.

        Args:
            offset: the committed offset, from which records are delivered; None without one.
        """
        if offset is None:
            if self._acknowledged:
                self._forget(None)
            return
        if offset < self._acknowledged:
            self._forget(offset)
        self._restored = self._acknowledged = offset
        self._known = True
        self._next = max(self._next or 0, offset)
        self._finished.add(0, offset)
        for start, end in unpack(offset, metadata):
            self._finished.add(start, end)
        self._overtaken |= {o for o in self._running if o in self._finished}
        self._running -= self._overtaken
        self._open = {o for o in self._open if o not in self._finished}
        self._tidy()

    def rejoined(self) -> None:
        """Enter that this replica had dropped out of its group.

        While it was out, the group may have been empty and its offsets set back by hand, so only
        what the group has committed counts; `restore` follows.
        """
        self._forget(None)

    def _forget(self, offset: int | None) -> None:
        """Drop what was finished: the records from `offset` on are wanted again."""
        self._finished.clear()
        self._open.clear()
        self._running = {o for o in self._running if o >= (offset or 0)}
        self._next = offset
        self._restored = self._acknowledged = 0
        self._known = False

    def _tidy(self) -> None:
        if self._next is None:
            return
        self._next = self._finished.end_of_run(self._next)
        position = self.position
        assert position is not None
        self._finished.discard_below(position)
