"""Everything that can be said of the speed on a GPU, in one command; on the CPU with toy networks.

Needs no weights: random ones of the true shapes are as fast. The ratios of one run count; the
seconds belong to the machine.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator

import torch

from pipeline.batching.cuda import is_cuda
from tests.bench.fleet import fleet
from tests.bench.generation import generation


def gpu(
    device: str | None,
    seconds: float | None,
    frames: int | None,
    jobs: tuple[int, ...],
    compiled: bool,
) -> Iterator[str]:
    """All tables, line by line.

    Args:
        device: where to run; None takes a GPU if there is one.
        seconds: of each render; None takes what suits the device, here and below.
        frames: of each run of the networks alone.
        jobs: renders at a time.
        compiled: compile the networks on a GPU.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    shrunken = not is_cuda(device)
    seconds, frames = seconds or (2.0 if shrunken else 8.0), frames or (128 if shrunken else 2048)
    name = platform.processor() or "CPU" if shrunken else torch.cuda.get_device_name(device)
    toy = ", shrunken networks: only ratios mean anything" if shrunken else ""
    yield f"{name}, torch {torch.__version__}{toy}"
    yield "Networks alone:"
    yield from generation(device, shrunken, frames, compiled)
    for engine in ("musetalk", "musetalk-fast"):
        yield "Whole renders, 720p25, decode to verified MP4:"
        yield from fleet(device, engine, shrunken, seconds, jobs, compiled)
