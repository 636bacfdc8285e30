"""Whether jobs keep a device of known speed busy: the batcher's part, without a GPU.

Whole renders of `musetalk` with stand-ins for its networks (`tests.bench.stand_ins`), whose batches
take the time that they took on a GPU (`tests.bench.paced`), or so many times as long: a host that
is slower than a GPU's serves a slower device as that one would serve the GPU.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.render import render
from pipeline.types import RenderSpec, Tick
from tests.bench import clips, stand_ins, true_shapes
from tests.bench.fleet_processes import Setting
from tests.bench.fleet_worker import render_all, specs_of
from tests.bench.paced import Device, Speeds, paced

PAINTS: Speeds = {1: 60, 2: 110, 4: 170, 8: 212, 16: 235, 32: 257, 64: 547}
"""Frames/s of UNet and decoder on an H200 by batch size. Those of 8, 32 and 64 were measured; only
the last was compiled."""
ENCODES: Speeds = {size: rate * 800 / 545 for size, rate in PAINTS.items()}
"""Faces/s of the encoder, which was not measured alone: by its GFLOP over those of painting."""
TURNS = 2
"""Renders of each slot, one after the other."""
URGENT_S = 5.0
"""Until the deadline of a job that is late."""


@dataclass(frozen=True, slots=True)
class Found:
    """What some slots gave."""

    rate: float
    """Frames/s, from the first start to the last end."""
    busy: float
    """Share of the time in which the device worked, from its first batch to its last."""
    filled: float
    """Share of the places of its batches that held a row."""
    processors: float
    """Busy ones."""
    seconds: tuple[float, ...]
    """Of each slot."""


@dataclass(frozen=True, slots=True)
class _Bench:
    setting: Setting
    device: Device

    def run(self, name: str, slots: int, *, known: bool, urgent: bool = False) -> Found:
        """Renders in some slots, `TURNS` in each; those of the first may be late."""
        turns = [
            specs_of(self.setting, f"{name}-{turn}", slots, known=known) for turn in range(TURNS)
        ]
        chains = list(zip(*turns, strict=True))
        self.device.clear()
        before, start = time.process_time(), time.monotonic()
        with ThreadPoolExecutor(slots) as pool:
            late = [urgent and slot == 0 for slot in range(slots)]
            made = list(pool.map(_one_after_the_other, chains, late))
        took = time.monotonic() - start
        worked = self.device.worked
        return Found(
            sum(frames for frames, _ in made) / took,
            self.device.busy(worked[0][0], worked[-1][1]),
            self.device.rows / self.device.places,
            (time.process_time() - before) / took,
            tuple(end - start for _, end in made),
        )


def scheduling(
    seconds: float, jobs: tuple[int, ...], lines: int, slower: float, *, new: bool
) -> Iterator[str]:
    """The table, line by line.

    Args:
        seconds: of each render.
        jobs: slots, ascending, the first is 1.
        lines: of the picture.
        slower: times than on a GPU.
        new: references are tracked and encoded for each job.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="f2f-bench-")))
        clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds, lines=lines)
        clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
        stack.enter_context(stand_ins.remembered_faces())
        speeds = {"paints": _of(PAINTS, slower), "encodes": _of(ENCODES, slower)}
        device = stack.enter_context(paced(speeds))
        stack.enter_context(stand_ins.musetalk(true_shapes.networks()))
        setting = Setting("musetalk", "cpu", True, False, seconds, str(folder))
        render_all(specs_of(setting, "first", 1, known=True))
        gc.freeze()
        stack.callback(gc.unfreeze)
        size = f"{lines}p25, {TURNS} of {seconds:g} s in each slot"
        rate, kind = PAINTS[64] / slower, "new" if new else "known"
        yield f"Whole renders beside a device of {rate:.3g} frames/s, {size}, {kind}:"
        yield from _rows(_Bench(setting, device), jobs, known=not new)


def _rows(bench: _Bench, jobs: tuple[int, ...], *, known: bool) -> Iterator[str]:
    alone: Found | None = None
    for slots in jobs:
        found = bench.run(f"all-{slots}", slots, known=known)
        alone = alone or found
        yield (
            f"  {slots:>2} slots {found.rate:6.1f} frames/s, {found.rate / alone.rate:4.2f} x one;"
            f" device busy {100 * found.busy:3.0f} %, batches full to {100 * found.filled:3.0f} %;"
            f" {found.processors:.2f} processors"
        )
    late, *others = bench.run("late", jobs[-1], known=known, urgent=True).seconds
    if others:
        mean = sum(others) / len(others)
        yield f"  a late one of {jobs[-1]} takes {late / mean:4.2f} of the others' time"


def _of(speeds: Speeds, slower: float) -> Speeds:
    return {size: rate / slower for size, rate in speeds.items()}


def _one_after_the_other(specs: tuple[RenderSpec, ...], late: bool) -> tuple[int, float]:
    """Frames, and when the last was there."""
    frames = 0
    for spec in specs:
        deadline = time.monotonic() + URGENT_S if late else None
        frames += render(replace(spec, deadline=deadline), _ignore).media.frames
    return frames, time.monotonic()


def _ignore(tick: Tick) -> None:
    pass
