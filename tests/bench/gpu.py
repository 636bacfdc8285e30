"""Everything that can be said of the speed on a GPU, in one command; on the CPU with toy networks.

Needs no weights: random ones of the true shapes are as fast. The ratios of one run count; the
seconds belong to the machine.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator

import torch

from consumer.doctor.gpus import unusable
from pipeline.batching.cuda import is_cuda
from tests.bench.apart import lines_of
from tests.bench.fleet import fleet
from tests.bench.fleet_processes import Round

BUDGET_S = 450.0
"""No line is begun after so long, so that all of it ends within eight minutes, whatever hangs: what
is made ready before it may take the other two of ten."""
ALONE = 0.5
"""The networks alone are ended after this share of the time, so that whole renders get the rest:
what they have compiled by then is found on the disk."""


def rounds(engine: str, processes: tuple[int, ...], jobs: tuple[int, ...]) -> tuple[Round, ...]:
    """The lines of an engine's table: by jobs in one process, then by processes.

    One job comes first, as others are compared with it; then what is known, then what is new.

    Args:
        engine: `musetalk` is measured in full, the others in one process alone: each that starts
            costs them as much as their figures.
        processes: how many, ascending, the first is 1.
        jobs: how many, ascending.
    """
    most = jobs[-1]
    if engine != "musetalk":
        return Round(1, jobs[0], True), Round(1, most, True), Round(1, most, False)
    lines = [Round(1, count, True) for count in jobs] + [Round(1, most, False)]
    for count in processes[1:]:
        lines += [Round(count, max(most, count), True), Round(count, max(most, count), False)]
    return tuple(lines)


def gpu(
    device: str | None,
    seconds: float | None,
    frames: int | None,
    jobs: tuple[int, ...] | None,
    processes: tuple[int, ...] | None,
    engines: tuple[str, ...],
    compiled: bool,
    budget_s: float = BUDGET_S,
) -> Iterator[str]:
    """All tables, line by line; what has targets comes first.

    Args:
        device: where to run; None takes a GPU if there is one.
        seconds: of each render; None takes what suits the device, here and below.
        frames: of each run of the networks alone.
        jobs: renders at a time.
        processes: that share the device.
        engines: whose tables.
        compiled: compile the networks on a GPU.
        budget_s: after which no line is begun.
    """
    start = time.monotonic()
    until = start + budget_s
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    shrunken = not is_cuda(device)
    seconds, frames = seconds or (1.0 if shrunken else 6.0), frames or (64 if shrunken else 1536)
    jobs = jobs or ((1, 2) if shrunken else (1, 8, 16))
    processes = processes or ((1, 2) if shrunken else (1, 2, 4))
    if shrunken and (why := unusable(os.environ)) is not None:
        yield f"NO GPU IS MEASURED: {why}"
    name = platform.processor() or "CPU" if shrunken else torch.cuda.get_device_name(device)
    toy = ", shrunken networks: only ratios mean anything" if shrunken else ""
    yield f"{name}, torch {torch.__version__}{toy}"
    yield from _alone(device, frames, compiled, start + ALONE * budget_s, until)
    for engine in engines:
        yield f"Whole renders of {engine}, 720p25, {seconds:g} s each, 2 or 3 in each slot:"
        yield from fleet(
            engine,
            device,
            rounds(engine, processes, jobs),
            shrunken=shrunken,
            seconds=seconds,
            compiled=compiled,
            end=until,
        )
    yield f"All of it took {time.monotonic() - start:.0f} s."


def _alone(
    device: str, frames: int, compiled: bool, ended_at: float, until: float
) -> Iterator[str]:
    """In a process that is ended in time: networks may have to be compiled, for minutes."""
    yield "Networks alone:"
    if time.monotonic() > until:
        yield "  left out: the time is over"
        return
    asked = ["--device", device, "--frames", str(frames), "" if compiled else "--no-compile"]
    command = [sys.executable, "-m", "tests.bench", "networks", *filter(None, asked)]
    yield from lines_of(command, ended_at)
