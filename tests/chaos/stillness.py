"""When did this machine do nothing for anybody? A host may take its processors away for a while.

A thread on each processor, ahead of everything else, sleeps for a millisecond again and again. What
it oversleeps, nobody had. Whoever measures milliseconds can tell its own from those.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

TICK_S = 0.001
LATE_S = 0.003
Span = tuple[float, float]
"""From, to; seconds since the epoch."""


@contextlib.contextmanager
def watched() -> Iterator[list[Span]]:
    """Spans in which a processor stood still, filled in at the end.

    Empty where no thread may go ahead of all others: its own delays would be counted there.
    """
    command = [sys.executable, "-m", "tests.chaos.stillness"]
    spans: list[Span] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as watcher:
        try:
            yield spans
        finally:
            told, _ = watcher.communicate()
            spans += [(begin, end) for begin, end in json.loads(told)]


def stood_s(spans: list[Span], begin: float, end: float) -> float:
    """Seconds between two moments in which some processor stood still."""
    inside = [(max(a, begin), min(b, end)) for a, b in spans if a < end and b > begin]
    return sum(b - a for a, b in inside)


def joined(spans: list[Span]) -> list[Span]:
    """The same moments, in order, each once."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def _watch(processor: int, over: threading.Event, spans: list[Span]) -> None:
    try:
        os.sched_setaffinity(0, {processor})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    except OSError:
        return
    woke = time.time()
    while not over.is_set():
        time.sleep(TICK_S)
        slept, woke = woke, time.time()
        if woke - slept > TICK_S + LATE_S:
            spans.append((slept + TICK_S, woke))


def main() -> None:
    """Watch until stdin ends; then tell the spans as JSON."""
    over, spans = threading.Event(), list[Span]()
    for processor in os.sched_getaffinity(0):
        threading.Thread(target=_watch, args=(processor, over, spans), daemon=True).start()
    sys.stdin.read()
    over.set()
    sys.stdout.write(json.dumps(joined(spans)))


if __name__ == "__main__":
    main()
