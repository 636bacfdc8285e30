"""Whole renders of MuseTalk, many at once on one device: frames/s, and where the time goes."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import torch

from pipeline.batching.cuda import is_cuda
from pipeline.engines import registry
from pipeline.engines.musetalk.engine import MuseTalkEngine, tuned
from pipeline.render import render
from pipeline.types import AvatarFolder, RenderSpec, Tick
from schemas.render import RenderReport
from tests.bench import clips
from tests.bench.networks import random_networks


@dataclass(slots=True)
class Busy:
    """How much of a GPU's time some kernel ran, by the driver's own count."""

    samples: list[int] = field(default_factory=list)

    def text(self) -> str:
        """In per cent."""
        if not self.samples:
            return "no GPU"
        return f"GPU busy {sum(self.samples) / len(self.samples):.0f} %"


@contextmanager
def watched(device: str) -> Iterator[Busy]:
    """Ask the driver every fifth of a second."""
    busy, stop = Busy(), threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            busy.samples.append(torch.cuda.utilization())

    thread = threading.Thread(target=look, daemon=True)
    if is_cuda(device):
        thread.start()
    try:
        yield busy
    finally:
        stop.set()
        if is_cuda(device):
            thread.join()


def fleet(
    device: str, engine: str, shrunken: bool, seconds: float, jobs: tuple[int, ...], compiled: bool
) -> Iterator[str]:
    """The table of one engine, line by line."""
    dtype = torch.float16 if is_cuda(device) else torch.float32
    networks = tuned(random_networks(engine == "musetalk-fast", device, dtype, shrunken))
    made = MuseTalkEngine(networks, device, engine == "musetalk-fast", [], compiled=compiled)
    made.warm()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as name, _as(made):
        folder = Path(name)
        video = clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds)
        audio = clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
        one = 0.0
        for known in (True, False):
            if known:
                _render(_spec(folder, audio, video, engine, device, cores, 0, True))
            for count in jobs:
                specs = [
                    _spec(folder, audio, video, engine, device, cores, n, known)
                    for n in range(count)
                ]
                rate, text = _together(specs, device)
                one = rate if known and count == jobs[0] else one
                what = "known" if known else "new"
                yield (
                    f"  {engine:<14} {count:>2} jobs, {what:<5} reference  {rate:8.1f} frames/s"
                    + (f"  {rate / 25:5.1f} streams  {rate / one:5.2f} x one job  {text}")
                )


@contextmanager
def _as(engine: MuseTalkEngine) -> Iterator[None]:
    with patch.object(registry, "create", return_value=engine):
        yield


def _spec(
    folder: Path,
    audio: Path,
    video: Path,
    engine: str,
    device: str,
    cores: int,
    number: int,
    known: bool,
) -> RenderSpec:
    own = folder / f"{number}-{known}"
    (own / "scratch").mkdir(parents=True, exist_ok=True)
    return RenderSpec(
        audio=audio,
        video=video,
        output=own / "out.mp4",
        scratch=own / "scratch",
        engine=engine,
        device=device,
        threads=cores,
        avatars=AvatarFolder(folder / "avatars") if known else None,
    )


def _render(spec: RenderSpec) -> RenderReport:
    return render(spec, _ignore)


def _ignore(tick: Tick) -> None:
    pass


def _together(specs: list[RenderSpec], device: str) -> tuple[float, str]:
    """Frames/s of all renders at once, and what else was seen."""
    start, busy_start = time.perf_counter(), time.process_time()
    with watched(device) as busy, ThreadPoolExecutor(len(specs)) as pool:
        reports = list(pool.map(_render, specs))
    wall, spent = time.perf_counter() - start, time.process_time() - busy_start
    frames = sum(report.media.frames for report in reports)
    stages: dict[str, float] = {}
    for report in reports:
        for stage, took in report.timings_ms.items():
            if stage != "total":
                stages[stage] = stages.get(stage, 0.0) + took
    most = sorted(stages.items(), key=lambda item: -item[1])[:6]
    where = ", ".join(f"{stage} {took / frames:.1f}" for stage, took in most)
    text = f"{busy.text()}, {spent / wall:.1f} processors; ms/frame in {where}"
    return frames / wall, text
