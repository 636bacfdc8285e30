"""The neural engines without their networks: what the host around a GPU can carry, and why.

True batcher, jobs, windows, crops, blending and codec; networks are `tests.bench.stand_ins`. The
engine's operators are the host's here and the device's on a GPU, where the host only launches them:
what 16 processors carry beside a GPU lies between the two figures that are printed. Nothing is said
of how many threads wait for the interpreter's lock there.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from unittest.mock import patch

import torch

from pipeline import render as story
from pipeline.hardware import processors
from pipeline.stopwatch import Stopwatch
from tests.bench import clips, stand_ins, true_shapes
from tests.bench.fleet_processes import Setting
from tests.bench.fleet_worker import render_all, specs_of
from tests.bench.metered import Meter, cost_of_metering, metered
from tests.bench.networks import random_wav2lip
from tests.bench.operations import NETWORKS, counted
from tests.bench.rows import STREAMS

RATE = 25
GPU_PROCESSORS = 16
"""Of the machine that the targets name."""
ENGINES = ("musetalk", "wav2lip")
"""`musetalk-fast` differs from `musetalk` in its decoder alone, which is a stand-in here."""


@dataclass(frozen=True, slots=True)
class Found:
    """What some jobs at a time gave."""

    rate: float
    """Frames/s."""
    processor_ms: float
    """Of a frame."""
    stages: dict[str, float]
    """The same, by the stage whose thread spent it; `others` is what no stage did."""


def machinery(
    seconds: float,
    jobs: tuple[int, ...],
    engine: str = "musetalk",
    lines: int = 720,
    rounds: int = 3,
) -> Iterator[str]:
    """The table, line by line.

    Args:
        seconds: of each render.
        jobs: at a time, ascending, the first is 1.
        engine: one of `ENGINES`.
        lines: of the picture; the interpreter's part hardly depends on them.
        rounds: of which the one is taken that was disturbed least.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="f2f-bench-")))
        clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds, lines=lines)
        clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
        stack.enter_context(stand_ins.remembered_faces())
        if engine == "musetalk":
            stack.enter_context(stand_ins.musetalk(true_shapes.networks()))
        else:
            stack.enter_context(stand_ins.wav2lip(random_wav2lip("cpu", True)))
        setting = Setting(engine, "cpu", True, False, seconds, str(folder))
        render_all(specs_of(setting, "first", 1, known=True))  # keeps the avatar, knows the faces
        gc.freeze()  # as a worker does when it is warm
        stack.callback(gc.unfreeze)
        size = f"{lines}p25, {seconds:g} s each"
        yield f"Whole renders with stand-ins for networks, {size}, {engine}:"
        for known in (True, False):
            yield from _of(setting, known, jobs, rounds)


def _of(setting: Setting, known: bool, jobs: tuple[int, ...], rounds: int) -> Iterator[str]:
    name = "known" if known else "new"
    shares = _shares(setting, known, rounds)
    alone: Found | None = None
    for count in jobs:
        found = _measured(setting, f"{name}-{count}", count, known)
        alone = alone or found
        yield (
            f"  {name:<5} {count:>2} jobs {found.rate:7.1f} frames/s, {found.rate / RATE:4.1f}"
            f" streams, {found.rate / alone.rate:4.2f} x one job;"
            f" processor {found.processor_ms:5.2f} ms/frame"
        )
        most = sorted(found.stages.items(), key=lambda item: -item[1])
        yield "        " + ", ".join(f"{stage} {spent:.2f}" for stage, spent in most if spent > 0.1)
    assert alone is not None
    yield from _sums(name, alone, shares, STREAMS.get((setting.engine, known)))


def _measured(setting: Setting, name: str, count: int, known: bool) -> Found:
    with patch.object(story, "Stopwatch", partial(Stopwatch, time.thread_time)):
        answer = render_all(specs_of(setting, name, count, known=known))
    frames = answer["frames"]
    stages = {stage: ms / frames for stage, ms in answer["stages"].items()}
    spent = 1e3 * answer["processor_s"] / frames
    stages["others"] = spent - sum(stages.values())
    rate = frames / (answer["end"] - answer["start"])
    return Found(rate, spent, stages)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of one job's frame: numbers, and processor ms in one run."""

    libraries: float
    """In calls that let go of the interpreter's lock: libav, files, the allocator, the batches."""
    host: float
    """Operators of torch in decoding and encoding."""
    host_ms: float
    engine: float
    """The others, which are nearly all a GPU's where there is one."""
    engine_ms: float
    interpreter: float
    """What is left of all threads that run Python, without what counting costs."""
    others: float
    """Of threads that run none."""
    calls: float
    """Of Python's functions, everywhere."""


def _shares(setting: Setting, known: bool, rounds: int) -> Shares:
    """Of the round in which the interpreter took least: others only make it dearer."""
    with counted(calls=True) as also:
        answer = render_all(specs_of(setting, f"calls-{known}", 1, known=known))
    calls = also.calls / answer["frames"]
    names = (f"shares-{known}-{n}" for n in range(rounds))
    return min(
        (_share(setting, name, known, calls) for name in names), key=attrgetter("interpreter")
    )


def _share(setting: Setting, name: str, known: bool, calls: float) -> Shares:
    with metered() as meter, counted() as counts:
        answer = render_all(specs_of(setting, name, 1, known=known))
    frames = answer["frames"]
    numbers = {place: n for place, n in counts.operators.items() if place != NETWORKS}
    host = [place for place in numbers if place != "engine"]
    host_ms = 1e3 * sum(counts.seconds[p] for p in host)
    engine_ms, all_ms = 1e3 * counts.seconds["engine"], 1e3 * meter.threads
    libraries = 1e3 * meter.spent
    return Shares(
        libraries / frames,
        sum(numbers[place] for place in host) / frames,
        host_ms / frames,
        numbers["engine"] / frames,
        engine_ms / frames,
        (all_ms - libraries - host_ms - engine_ms - _counting_ms(numbers, meter)) / frames,
        (1e3 * answer["processor_s"] - all_ms) / frames,
        calls,
    )


def _counting_ms(operators: dict[str, int], meter: Meter) -> float:
    """Processor milliseconds that the measurement itself took in our threads."""
    return 1e3 * (sum(operators.values()) * _cost_of_counting() + meter.calls * cost_of_metering())


def _cost_of_counting(times: int = 20_000) -> float:
    """Processor seconds by which counting an operator makes it dearer."""
    value = torch.zeros(4)

    def spent() -> float:
        start = time.thread_time()
        for _ in range(times):
            value.neg()
        return time.thread_time() - start

    plain = spent()
    with counted():
        noted = spent()
    return max(0.0, (noted - plain) / times)


def _sums(name: str, alone: Found, of: Shares, asked: float | None) -> Iterator[str]:
    """Where the processors' time goes with one job, and how many streams that leaves room for."""
    yield (
        f"  {name:<5} of {alone.processor_ms:.2f} ms: libraries {of.libraries:.2f}; {of.host:.1f}"
        f" operators that copy {of.host_ms:.2f}; {of.engine:.1f} of the engine {of.engine_ms:.2f},"
        f" a GPU's where there is one; interpreter {of.interpreter:.2f} ({of.calls:.0f} calls)"
    )
    here, there = processors(), GPU_PROCESSORS
    # Of the same run as the engine's part, as another may have met a busier machine.
    beside = of.libraries + of.host_ms + of.interpreter + max(0.0, of.others)
    said = "" if asked is None else f"; {asked:g} are asked on a GPU"
    yield (
        f"  {name:<5} so the processors carry {_streams(alone.processor_ms, here):.1f} streams"
        f" here; {there} of them {_streams(beside + of.engine_ms, there):.1f}, or"
        f" {_streams(beside, there):.1f} beside a GPU; one interpreter"
        f" {_streams(of.interpreter, 1):.1f} at most{said}"
    )


def _streams(ms: float, processors: int) -> float:
    """What so many carry, if all of them could work at all times."""
    return processors * 1e3 / ms / RATE
