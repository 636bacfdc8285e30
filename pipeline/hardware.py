"""What this process may use of a machine. Imports nothing heavy, so that a child can set it first.

Units are looked for elsewhere (`pipeline.reading.nvdec`, `pipeline.writing.nvenc`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Literal

from schemas.device import Way

EncoderName = Literal["auto", "x264", "nvenc"]


@dataclass(frozen=True, slots=True)
class Use:
    """What may be used."""

    nvdec: bool = True
    """The GPU's video decoder, `F2F_NVDEC`."""
    encoder: EncoderName = "x264"
    """Who encodes, `F2F_ENCODER`."""
    largest_batch: int = 64
    """Frames of the largest batch of a neural engine on a GPU, `F2F_GPU_BATCH`."""
    launching: Way = "compiled"
    """How networks may run on a GPU at best, `F2F_GPU_NETWORKS`."""
    processors: int = 0
    """For all jobs of this process; 0: all that the system gives it."""


_use = Use()


def allow(**changes: bool | int | str) -> None:
    """Set what may be used, by the names of `Use`; the rest stays."""
    global _use
    _use = replace(_use, **changes)  # type: ignore[arg-type]


def use() -> Use:
    """What may be used now."""
    return _use


def processors() -> int:
    """Processors for all jobs of this process together."""
    if _use.processors:
        return _use.processors
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
