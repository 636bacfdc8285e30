"""The neural engines without their networks: what the host around a GPU can carry, and why.

True batcher, jobs, windows, crops, blending and codec; networks are `tests.bench.stand_ins`. The
engine's operators are the host's here and the device's on a GPU, where the host only launches them:
what 16 processors carry beside a GPU lies between the two figures that are printed. Nothing is said
of how many threads wait for the interpreter's lock there.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import torch

from pipeline import render as story
from pipeline.batching.batcher import Batcher
from pipeline.cursor import Cursor
from pipeline.encode import Encoder
from pipeline.hardware import processors
from pipeline.kept import KeptPictures
from pipeline.soundtrack import Soundtrack
from pipeline.stream import Stopwatch
from tests.bench import clips, stand_ins, true_shapes
from tests.bench.fleet import Setting
from tests.bench.fleet_worker import render_all, specs_of
from tests.bench.operations import NETWORKS, counted
from tests.bench.rows import STREAMS

RATE = 25
GPU_PROCESSORS = 16
"""Of the machine that the targets name."""


@dataclass(frozen=True, slots=True)
class Found:
    """What some jobs at a time gave."""

    rate: float
    """Frames/s."""
    processor_ms: float
    """Of a frame."""
    stages: dict[str, float]
    """The same, by the stage whose thread spent it; `others` is what no thread of ours did."""


class _Meter:
    """Seconds of the calling thread inside some functions, by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, measured."""

        @wraps(call)
        def run(*args: Any, **named: Any) -> Any:
            start = time.thread_time()
            try:
                return call(*args, **named)
            finally:
                with self._lock:
                    self.spent[name] += time.thread_time() - start

        return run


@contextmanager
def _metered() -> Iterator[_Meter]:
    """Processor time instead of wall time by stage, and what the codec and the batches take."""
    meter = _Meter()
    step = Soundtrack._step
    places = (
        (Cursor, "go", "codec"),
        (Encoder, "_encode", "codec"),
        (Soundtrack, "_step", "codec"),
        (av, "open", "codec"),
        (KeptPictures, "put", "codec"),
        (KeptPictures, "get", "codec"),
        (Batcher, "_make", "batches"),
    )
    with ExitStack() as stack:
        stack.enter_context(patch.object(story, "Stopwatch", partial(Stopwatch, time.thread_time)))
        stack.enter_context(patch.object(Soundtrack, "_step", lambda sound: list(step(sound))))
        for owner, call, name in places:
            measured = meter.around(name, getattr(owner, call))
            stack.enter_context(patch.object(owner, call, measured))
        yield meter


def machinery(seconds: float, jobs: tuple[int, ...]) -> Iterator[str]:
    """The table, line by line.

    Args:
        seconds: of each render.
        jobs: at a time, ascending, the first is 1.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="f2f-bench-")))
        clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds)
        clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
        stack.enter_context(stand_ins.remembered_faces())
        stack.enter_context(stand_ins.musetalk(true_shapes.networks()))
        setting = Setting("musetalk", "cpu", True, False, seconds, str(folder))
        render_all(specs_of(setting, "first", 1, known=True))  # keeps the avatar, knows the faces
        yield f"Whole renders with stand-ins for networks, 720p25, {seconds:g} s each, musetalk:"
        for known in (True, False):
            yield from _of(setting, known, jobs)


def _of(setting: Setting, known: bool, jobs: tuple[int, ...]) -> Iterator[str]:
    name = "known" if known else "new"
    shares = _shares(setting, known)
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
    yield from _sums(name, alone, shares, STREAMS["musetalk", known])


def _measured(setting: Setting, name: str, count: int, known: bool) -> Found:
    with _metered() as meter:
        answer = render_all(specs_of(setting, name, count, known=known))
    frames = answer["frames"]
    stages = {stage: ms / frames for stage, ms in answer["stages"].items()}
    stages["batches"] = 1e3 * meter.spent["batches"] / frames
    spent = 1e3 * answer["processor_s"] / frames
    stages["others"] = spent - sum(stages.values())
    rate = frames / (answer["end"] - answer["start"])
    return Found(rate, spent, stages)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of one job's frame, outside of batches: numbers, and processor ms in the same run."""

    codec: float
    """Inside libavcodec, the muxer and files of pictures, in threads of ours."""
    host: float
    """Operators of torch in decoding and encoding."""
    host_ms: float
    engine: float
    """The others, which are nearly all a GPU's where there is one."""
    engine_ms: float
    interpreter: float
    """What is left of our threads' time, without what counting costs."""
    calls: float
    """Of Python's functions, everywhere."""


def _shares(setting: Setting, known: bool) -> Shares:
    with _metered() as meter, counted() as counts:
        answer = render_all(specs_of(setting, f"shares-{known}", 1, known=known))
    with counted(calls=True) as also:
        render_all(specs_of(setting, f"calls-{known}", 1, known=known))
    frames = answer["frames"]
    numbers = {place: n for place, n in counts.operators.items() if place != NETWORKS}
    host = [place for place in numbers if place != "engine"]
    codec, host_ms = 1e3 * meter.spent["codec"], 1e3 * sum(counts.seconds[p] for p in host)
    engine_ms, all_ms = 1e3 * counts.seconds["engine"], sum(answer["stages"].values())
    counting = 1e3 * sum(numbers.values()) * _cost_of_counting()
    return Shares(
        codec / frames,
        sum(numbers[place] for place in host) / frames,
        host_ms / frames,
        numbers["engine"] / frames,
        engine_ms / frames,
        (all_ms - codec - host_ms - engine_ms - counting) / frames,
        also.calls.total() / frames,
    )


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


def _sums(name: str, alone: Found, of: Shares, asked: float) -> Iterator[str]:
    """Where the processors' time goes with one job, and how many streams that leaves room for."""
    yield (
        f"  {name:<5} of {alone.processor_ms:.2f} ms: codec and files {of.codec:.2f}; {of.host:.1f}"
        f" operators that copy {of.host_ms:.2f}; {of.engine:.1f} of the engine {of.engine_ms:.2f},"
        f" a GPU's where there is one; interpreter {of.interpreter:.2f} ({of.calls:.0f} calls)"
    )
    here, there = processors(), GPU_PROCESSORS
    # Of the same run as the engine's part, as another may have met a busier machine.
    beside = of.codec + of.host_ms + of.interpreter + max(0.0, alone.stages["others"])
    yield (
        f"  {name:<5} so the processors carry {_streams(alone.processor_ms, here):.1f} streams"
        f" here; {there} of them {_streams(beside + of.engine_ms, there):.1f}, or"
        f" {_streams(beside, there):.1f} beside a GPU; one interpreter"
        f" {_streams(of.interpreter, 1):.1f} at most; {asked:g} are asked on a GPU"
    )


def _streams(ms: float, processors: int) -> float:
    """What so many carry, if all of them could work at all times."""
    return processors * 1e3 / ms / RATE
