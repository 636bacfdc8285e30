"""One process of a fleet: loads an engine, then renders as many jobs as it is told."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from consumer.workers.rendering import use_weights_root
from pipeline.batching.cuda import is_cuda
from pipeline.batching.ways import ways
from pipeline.engines import registry
from pipeline.engines.base import Warming
from pipeline.faces import loaded
from pipeline.render import render
from pipeline.types import AvatarFolder, RenderSpec
from tests.bench.fleet_processes import Setting
from tests.bench.networks import random_networks, random_wav2lip
from tests.bench.steady import Progress
from tests.bench.waiting import waiting

Specs = list[RenderSpec]


def main() -> None:
    """Say `{}` when ready, then answer each order."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    setting = Setting(**json.loads(sys.argv[1]))
    use_weights_root()
    engine = make_engine(setting)
    created = patch.object(registry, "create", return_value=engine) if engine else nullcontext()
    with created:
        _serve(setting, answers)


def make_engine(setting: Setting) -> Any:
    """An engine with random weights, warm; None for one that has no weights to load."""
    device, name = setting.device, setting.engine
    if name == "viseme":
        if is_cuda(device):
            loaded.warm(device)
        return None
    half = torch.float16 if is_cuda(device) else torch.float32
    engine: Any
    if name == "wav2lip":
        from pipeline.engines.wav2lip.engine import Wav2LipEngine

        engine = Wav2LipEngine(random_wav2lip(device, setting.shrunken), device, [])
    else:
        from pipeline.engines.musetalk.engine import MuseTalkEngine, tuned

        fast = name == "musetalk-fast"
        networks = tuned(
            random_networks(fast, device, half, setting.shrunken), innermost=is_cuda(device)
        )
        engine = MuseTalkEngine(networks, device, fast, [], compiled=setting.compiled)
    if isinstance(engine, Warming):
        engine.warm()
    if is_cuda(device):
        loaded.warm(device)
    return engine


def _serve(setting: Setting, answers: TextIO) -> None:
    render_all(specs_of(setting, "first", 1, known=True))  # the avatar is kept from here on
    print(json.dumps({}), file=answers, flush=True)
    for number, line in enumerate(sys.stdin):
        order = json.loads(line)
        jobs = order["jobs"]
        specs = specs_of(setting, str(number), jobs, known=order["known"], turns=order["turns"])
        with waiting() as waited:
            answer = render_all(specs, jobs)
        print(json.dumps(answer | {"waited_ms": waited.mean_ms}), file=answers, flush=True)


def specs_of(setting: Setting, name: str, count: int, *, known: bool, turns: int = 1) -> Specs:
    """Jobs on the reference and speech of a table, `count` at a time, `turns` times as many."""
    folder = Path(setting.folder)
    threads = max(2, len(os.sched_getaffinity(0)) // max(1, count))
    specs = []
    for n in range(count * turns):
        own = folder / f"{os.getpid()}-{name}-{n}"
        (own / "scratch").mkdir(parents=True)
        specs.append(
            RenderSpec(
                audio=folder / "speech.wav",
                video=folder / "reference.mp4",
                output=own / "out.mp4",
                scratch=own / "scratch",
                engine=setting.engine,
                device=setting.device,
                threads=threads,
                avatars=AvatarFolder(folder / "avatars", keep_free=0) if known else None,
            )
        )
    return specs


def render_all(specs: Specs, slots: int | None = None) -> dict[str, Any]:
    """Frames, when it began and ended (`time.monotonic`), processor seconds, and ms by stage.

    Args:
        specs: in their order.
        slots: at a time; all if not given.
    """
    start, before, progress = time.monotonic(), time.process_time(), Progress()
    with ThreadPoolExecutor(max(1, slots or len(specs))) as pool:
        reports = list(pool.map(lambda spec: render(spec, progress.of_job()), specs))
    stages: dict[str, float] = {}
    for report in reports:
        for stage, took in report.timings_ms.items():
            if stage != "total":
                stages[stage] = stages.get(stage, 0.0) + took
    return {
        "frames": sum(report.media.frames for report in reports),
        "start": start,
        "end": time.monotonic(),
        "processor_s": time.process_time() - before,
        "stages": stages,
        "networks": Counter(ways().values()),
        "made": progress.made,
    }


if __name__ == "__main__":
    main()
