"""Do the group's commits pass only records that had come to their end?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.chaos.copies import original_place
from tests.chaos.facts import History, Place, Rec

CLOCK_MS = 2
"""The broker stamps a record before it is in the log and a commit at about the same time."""
ToldAt = Callable[[Rec], list[int]]
"""When outcomes of a record's job were announced, ms."""


def early(history: History, told_at: ToldAt) -> Iterator[str]:
    """Every commit that passed a record which had not ended when the broker took it, in words."""
    finished = _finished_at(history, told_at)
    behind: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
    for (topic, partition, offset), at_ms in sorted(finished.items()):
        behind[(topic, partition)].append((offset, at_ms))
    for commit in history.commits:
        for offset, at_ms in behind[(commit.topic, commit.partition)]:
            if at_ms <= commit.at_ms + CLOCK_MS:
                continue
            above = any(start <= offset < end for start, end in commit.finished)
            if offset < commit.offset or above:
                yield (
                    f"committed too early: {commit.topic}/{commit.partition} at"
                    f" {commit.offset} counts {offset} as finished, {at_ms - commit.at_ms} ms"
                    " before its outcome"
                )


def _finished_at(history: History, told_at: ToldAt) -> dict[Place, float]:
    """When each record of the request and retry topics had its end on the topics."""
    retried: dict[Place, list[int]] = defaultdict(list)
    for copy in history.retries:
        place = original_place(copy)
        if place is not None:
            retried[place].append(copy.at_ms)
    found: dict[Place, float] = {}
    for record in history.requests:
        found[record.place] = _end(record, told_at(record), retried[record.place], strictly=False)
    for record in history.retries:
        place = original_place(record)
        later = retried[place] if place is not None else []
        found[record.place] = _end(record, told_at(record), later, strictly=True)
    return found


def _end(record: Rec, told: list[int], copies: list[int], *, strictly: bool) -> float:
    """When a record ended: by an outcome of its job, told then, or by a copy of it, sent then."""
    after = [at for at in told if at >= record.at_ms - CLOCK_MS]
    after += [at for at in copies if at > record.at_ms or (at == record.at_ms and not strictly)]
    return min(after, default=float("inf"))
