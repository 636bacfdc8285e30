"""Whole renders, many at once in any number of processes on one device: frames/s, and who is busy.

The processes (`tests.bench.fleet_processes`) are started once; each line of a table uses the first
of them.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.batching.cuda import is_cuda
from tests.bench import clips
from tests.bench.busy import Busy, watched
from tests.bench.fleet_processes import Figures, Fleet, Round, Setting
from tests.bench.rows import (
    BUSY,
    STREAMS,
    TIMES_ONE_JOB,
    TOGETHER,
    Asked,
    reason,
    row,
    unknown,
    verdict,
)

GRACE_S = 30.0
"""So long after the last line may begin, all must have ended."""


def fleet(
    engine: str,
    device: str,
    rounds: tuple[Round, ...],
    *,
    shrunken: bool,
    seconds: float,
    compiled: bool,
    end: float,
) -> Iterator[str]:
    """The table of one engine, line by line.

    Args:
        engine: its name.
        device: where all processes render.
        rounds: the lines.
        shrunken: toy networks.
        seconds: of each render.
        compiled: compile the networks on a GPU.
        end: second of `time.monotonic` after which no further line is begun.
    """
    if time.monotonic() > end:  # not even clips are made
        yield from (_left_out(engine, what) for what in rounds)
        return
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(
            prefix="f2f-bench-",
            ignore_cleanup_errors=True,  # a process that was ended may still write
        )
        folder = Path(stack.enter_context(temporary))
        try:
            clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds)
            clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
        except (OSError, ValueError) as error:  # FFmpeg's errors are among them
            yield f"  {engine:<14} failed: {reason(error)}"
            return
        setting = Setting(engine, device, shrunken, compiled, seconds, str(folder))
        table = _Table(stack.enter_context(Fleet(setting, end + GRACE_S)), setting)
        for what in rounds:
            if time.monotonic() > end:
                yield _left_out(engine, what)
            else:
                name = f"{engine:<14} {_name(what)}"
                yield row(name, partial(table.measure, what), asked_of(engine, what))


def _left_out(engine: str, what: Round) -> str:
    asked = unknown(asked_of(engine, what))
    return f"  {engine:<14} {_name(what)} left out: the time is over{asked}"


class _Table:
    """The rows of one engine."""

    def __init__(self, processes: Fleet, setting: Setting) -> None:
        self._processes = processes
        self._setting = setting
        self._single: dict[tuple[int, bool], float] = {}
        """Frames/s of rounds of one process, by jobs and whether the reference is known."""

    def measure(self, what: Round) -> str:
        """The figures of a round; after a failure the processes are new ones."""
        begun = time.monotonic()
        try:
            self._processes.grow(what.processes)
            ready = time.monotonic()
            with watched(self._setting.device) as busy:
                found = self._processes.run(what)
        except BaseException:
            self._processes.close()
            raise
        if what.processes == 1:
            self._single[what.jobs, what.known] = found.rate
        line = _line(found, what, self._single.get((what.jobs, what.known)), busy)
        line += f"; took {time.monotonic() - begun:.0f} s, {ready - begun:.0f} of them to start"
        return line + verdict(self._asked(what, found, busy), is_cuda(self._setting.device))

    def _asked(self, what: Round, found: Figures, busy: Busy) -> list[Asked]:
        alone = self._single.get((1, what.known))
        figures = {
            "streams": _streams(found, what),
            "x one job": found.rate / alone if alone else None,
            "busy": None if busy.unknown else busy.share,
        }
        return [
            replace(each, found=figure)
            for each in asked_of(self._setting.engine, what)
            if (figure := figures[each.what]) is not None
        ]


def asked_of(engine: str, what: Round) -> list[Asked]:
    """What is asked of a round, without figures."""
    least = STREAMS.get((engine, what.known))
    if least is None or what.jobs == 1:
        return []
    asked = [Asked("streams", math.nan, least)]
    if what.processes == 1 and what.jobs == TOGETHER:
        asked.append(Asked("x one job", math.nan, TIMES_ONE_JOB))
    if what.jobs >= TOGETHER:
        asked.append(Asked("busy", math.nan, BUSY))
    return asked


def _name(what: Round) -> str:
    reference = "known" if what.known else "new"
    return f"{what.processes} proc, {what.jobs:>2} jobs, {reference:<5}"


def _streams(found: Figures, what: Round) -> float:
    """Of 25 frames a second, as a service has them.

    Of new references whole jobs are counted, as frames are the last of what is done for them.
    """
    return (found.steady if what.known else found.rate) / 25


def _line(found: Figures, what: Round, single: float | None, busy: Busy) -> str:
    ratio = f"{found.rate / single:5.2f} x one process" if single else " " * 19
    most = sorted(found.stages.items(), key=lambda item: -item[1])[:6]
    where = ", ".join(f"{stage} {took:.1f}" for stage, took in most)
    processors = found.rate * found.processor_ms / 1e3
    ways = ", ".join(f"{count} {way}" for way, count in sorted(found.networks.items()))
    named = f"; networks: {ways}" if ways else ""
    return (
        f" {found.rate:8.1f} frames/s in all, {found.steady:.1f} amid"
        f" {_streams(found, what):5.1f} streams {ratio}"
        f"  processor {found.processor_ms:.1f} ms/frame ({processors:.1f} of them busy),"
        f" waits {found.waited_ms:.2f} ms for the interpreter, {busy.text()};"
        f" ms/frame in {where}{named}"
    )
