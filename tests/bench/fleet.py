"""Whole renders, many at once in any number of processes on one device: frames/s, and who is busy.

Each process is what a worker of `F2F_WORKERS_PER_GPU` is: an interpreter of its own with the models
in the device's memory. They are started once; each line of a table uses the first of them.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from pipeline.batching.cuda import is_cuda
from tests.bench import clips
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

START_S = 300.0
"""A process may take so long to compile its networks."""
GRACE_S = 45.0
"""So long after the last line may begin, all must have ended."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all processes of a table share."""

    engine: str
    device: str
    shrunken: bool
    compiled: bool
    seconds: float
    """Of each render."""
    folder: str
    """Reference, speech and kept avatars."""


@dataclass(frozen=True, slots=True)
class Round:
    """One line of a table."""

    processes: int
    jobs: int
    """Of all processes together."""
    known: bool
    """Whether the reference's avatar is kept."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a round gave."""

    rate: float
    """Frames/s, from the first start to the last end."""
    processor_ms: float
    """Of a frame."""
    stages: dict[str, float]
    """Busy ms of a frame by stage; they overlap."""


@dataclass(slots=True)
class Busy:
    """How much of a GPU's time some kernel ran, by the driver's own count, and its memory."""

    samples: list[int] = field(default_factory=list)
    most_bytes: int = 0
    unknown: bool = False

    @property
    def share(self) -> float:
        """Per cent; 0 where nobody counts."""
        return sum(self.samples) / len(self.samples) if self.samples else 0.0

    def text(self) -> str:
        """In words."""
        if not self.most_bytes:
            return "no GPU"
        said = "unknown" if self.unknown else f"{self.share:.0f} %"
        return f"GPU busy {said}, {self.most_bytes / 1e9:.1f} GB"


@contextmanager
def watched(device: str) -> Iterator[Busy]:
    """Ask the driver every fifth of a second."""
    busy, stop = Busy(), threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            try:
                busy.samples.append(torch.cuda.utilization(0))
            except (ImportError, RuntimeError):
                busy.unknown = True  # no NVML for Python, or a driver that does not count
            free, total = torch.cuda.mem_get_info(0)
            busy.most_bytes = max(busy.most_bytes, total - free)

    thread = threading.Thread(target=look, daemon=True)
    if is_cuda(device):
        thread.start()
    try:
        yield busy
    finally:
        stop.set()
        if is_cuda(device):
            thread.join()


class Process:
    """One worker process of a table; orders go in and answers come out as lines of JSON."""

    def __init__(self, setting: Setting, number: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.fleet_worker", json.dumps(asdict(setting))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "F2F_BENCH_PROCESS": str(number)},
        )

    def order(self, jobs: int, known: bool) -> None:
        """Begin so many renders at once."""
        assert self._process.stdin is not None
        print(json.dumps({"jobs": jobs, "known": known}), file=self._process.stdin, flush=True)

    def read(self, limit_s: float) -> dict[str, Any]:
        """The answer to the last order; the first one says that models are loaded and compiled.

        Raises:
            RuntimeError: the process ended, or was ended because it took longer than `limit_s`.
        """
        assert self._process.stdout is not None
        timer = threading.Timer(max(1.0, limit_s), self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"a process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Fleet:
    """The processes of one table, started as they are needed.

    Args:
        setting: of all.
        end: second of `time.monotonic` at which whatever still runs is ended.
    """

    def __init__(self, setting: Setting, end: float) -> None:
        self._setting = setting
        self._end = end
        self._processes: list[Process] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes; the next round starts new ones."""
        while self._processes:
            self._processes.pop().close()

    def grow(self, count: int) -> None:
        """Have at least `count` processes; the first alone, as it compiles for all of them."""
        while len(self._processes) < count:
            more = 1 if not self._processes else count - len(self._processes)
            started = [Process(self._setting, len(self._processes) + n) for n in range(more)]
            self._processes += started
            for process in started:
                process.read(min(START_S, self._end - time.monotonic()))

    def run(self, what: Round) -> Figures:
        """Render `what.jobs` jobs in `what.processes` processes, as evenly as it goes."""
        self.grow(what.processes)
        used = self._processes[: what.processes]
        shares = [what.jobs // len(used) + (n < what.jobs % len(used)) for n in range(len(used))]
        for process, jobs in zip(used, shares, strict=True):
            process.order(jobs, what.known)
        answers = [process.read(self._end - time.monotonic()) for process in used]
        frames = sum(answer["frames"] for answer in answers)
        wall = max(a["end"] for a in answers) - min(a["start"] for a in answers)
        stages: dict[str, float] = {}
        for answer in answers:
            for stage, took in answer["stages"].items():
                stages[stage] = stages.get(stage, 0.0) + took / frames
        spent = sum(answer["processor_s"] for answer in answers)
        return Figures(frames / wall, 1e3 * spent / frames, stages)


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
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="f2f-bench-")))
        try:
            clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds)
            clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
        except (OSError, ValueError) as error:  # FFmpeg's errors are among them
            yield f"  {engine:<14} failed: {reason(error)}"
            return
        setting = Setting(engine, device, shrunken, compiled, seconds, str(folder))
        table = _Table(stack.enter_context(Fleet(setting, end + GRACE_S)), setting)
        for what in rounds:
            name = f"{engine:<14} {_name(what)}"
            if time.monotonic() > end:
                yield f"  {name} left out: the time is over{unknown(asked_of(engine, what))}"
            else:
                yield row(name, partial(table.measure, what), asked_of(engine, what))


class _Table:
    """The rows of one engine."""

    def __init__(self, processes: Fleet, setting: Setting) -> None:
        self._processes = processes
        self._setting = setting
        self._single: dict[tuple[int, bool], float] = {}
        """Frames/s of rounds of one process, by jobs and whether the reference is known."""

    def measure(self, what: Round) -> str:
        """The figures of a round; after a failure the processes are new ones."""
        try:
            self._processes.grow(what.processes)
            with watched(self._setting.device) as busy:
                found = self._processes.run(what)
        except BaseException:
            self._processes.close()
            raise
        if what.processes == 1:
            self._single[what.jobs, what.known] = found.rate
        line = _line(found, self._single.get((what.jobs, what.known)), busy)
        return line + verdict(self._asked(what, found, busy), is_cuda(self._setting.device))

    def _asked(self, what: Round, found: Figures, busy: Busy) -> list[Asked]:
        alone = self._single.get((1, what.known))
        figures = {
            "streams": found.rate / 25,
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


def _line(found: Figures, single: float | None, busy: Busy) -> str:
    ratio = f"{found.rate / single:5.2f} x one process" if single else " " * 19
    most = sorted(found.stages.items(), key=lambda item: -item[1])[:6]
    where = ", ".join(f"{stage} {took:.1f}" for stage, took in most)
    processors = found.rate * found.processor_ms / 1e3
    return (
        f" {found.rate:8.1f} frames/s {found.rate / 25:5.1f} streams {ratio}"
        f"  processor {found.processor_ms:.1f} ms/frame ({processors:.1f} of them busy),"
        f" {busy.text()}; ms/frame in {where}"
    )
