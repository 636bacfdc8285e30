"""The worker processes of a table: started once, given rounds of renders, asked for figures.

Each is what a worker of `F2F_WORKERS_PER_GPU` is: an interpreter of its own with the models in the
device's memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench import apart
from tests.bench.apart import KILL_S, last_words
from tests.bench.steady import steady

START_S = 300.0
"""A process may take so long to compile its networks."""
ROW_S = 120.0
"""A row may take so long: one that hangs shall not take the time of all that come after it."""


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

    @property
    def turns(self) -> int:
        """Jobs that each slot renders one after the other.

        Those that begin together move through their stages together, which only the first ones of a
        service do.
        """
        return 3 if self.known and self.jobs > 1 else 2


@dataclass(frozen=True, slots=True)
class Figures:
    """What a round gave."""

    rate: float
    """Frames/s, from the first start to the last end."""
    steady: float
    """Frames/s while all slots are at work (`tests.bench.steady`)."""
    processor_ms: float
    """Of a frame."""
    stages: dict[str, float]
    """Busy ms of a frame by stage; they overlap."""
    networks: dict[str, int] = field(default_factory=dict)
    """How many go each way on a GPU, `pipeline.batching.ways`: a slower one is another figure."""
    waited_ms: float = 0.0
    """Mean wait for the interpreter's lock (`tests.bench.waiting`), of the worst process."""


class Process:
    """One worker process of a table; orders go in and answers come out as lines of JSON."""

    def __init__(self, setting: Setting, number: int) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.fleet_worker", json.dumps(asdict(setting))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={**os.environ, "F2F_BENCH_PROCESS": str(number)},
        )

    def order(self, jobs: int, known: bool, turns: int) -> None:
        """Begin so many renders at once, and others after them, `turns` in each slot."""
        assert self._process.stdin is not None
        order = {"jobs": jobs, "known": known, "turns": turns}
        print(json.dumps(order), file=self._process.stdin, flush=True)

    def read(self, limit_s: float) -> dict[str, Any]:
        """The answer to the last order; the first one says that models are loaded and compiled.

        Raises:
            RuntimeError: the process ended, or was ended because it took longer than `limit_s`.
        """
        assert self._process.stdout is not None
        over = threading.Event()

        def stop() -> None:
            over.set()
            self._process.kill()

        timer = threading.Timer(max(1.0, limit_s), stop)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            code = self._process.wait(KILL_S)
            why = f"it took over {limit_s:.0f} s" if over.is_set() else last_words(self._said)
            raise RuntimeError(f"a process ended with {code}: {why}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        apart.end(self._process)
        self._said.close()


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

    def __exit__(self, *_: object) -> None:
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
            process.order(jobs, what.known, what.turns)
        answers = [process.read(min(ROW_S, self._end - time.monotonic())) for process in used]
        frames = sum(answer["frames"] for answer in answers)
        start, end = min(a["start"] for a in answers), max(a["end"] for a in answers)
        made = [(at, frames) for answer in answers for at, frames in answer["made"]]
        stages: dict[str, float] = {}
        for answer in answers:
            for stage, took in answer["stages"].items():
                stages[stage] = stages.get(stage, 0.0) + took / frames
        spent = sum(answer["processor_s"] for answer in answers)
        waited = max(answer["waited_ms"] for answer in answers)
        return Figures(
            frames / (end - start),
            steady(made, start, end),
            1e3 * spent / frames,
            stages,
            answers[0]["networks"],
            waited,
        )
