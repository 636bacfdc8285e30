"""How many jobs a worker may run at a time, by what its device's memory was measured to hold.

Pure. A worker says after its start what lies in memory before any job (weights, captured graphs),
and while it works by how much each job has made it grow. Until jobs have been seen, a job counts
as `ASSUMED_JOB`, twice what MuseTalk's took on an H200.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.device import DeviceMemory

SHARE = 0.8
"""Of a device's memory that its workers may fill, together; the rest is for peaks and others."""
ASSUMED_JOB = 768 * 1024**2
LEAST_JOB = 64 * 1024**2
"""A job never counts as less, however little was seen."""
MOST = 16
"""More jobs share batches no better, and wait longer for each other."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What was chosen for one worker."""

    count: int
    why: str


def at_most(threads: int) -> int:
    """The slots of a worker with so many processors, however large its GPU."""
    return max(1, min(MOST, threads))


def choose(
    fixed: int | None, memory: DeviceMemory | None, workers: int = 1, threads: int = MOST
) -> Slots:
    """The slots of one worker.

    Args:
        fixed: `F2F_SLOTS`; None for `auto`.
        memory: of a GPU, as its worker measured it; None on a CPU, or before it has.
        workers: that share the device.
        threads: processors of the worker; a job needs about one to decode and encode.
    """
    if fixed is not None:
        return Slots(fixed, "F2F_SLOTS")
    if memory is None:
        return Slots(1, "auto: no GPU's memory is known")
    room = SHARE * memory.total_bytes / workers - memory.idle_bytes
    job = max(LEAST_JOB, memory.job_bytes or ASSUMED_JOB)
    fits = max(0, int(room // job))
    count = max(1, min(fits, at_most(threads)))
    seen = f"measured with {memory.jobs}" if memory.job_bytes else "assumed until jobs were seen"
    limits = {fits: "memory", MOST: f"the most, {MOST}", threads: f"{threads} processors"}
    return Slots(
        count,
        f"auto: {SHARE:.0%} of {memory.total_bytes / 1e9:.1f} GB for {workers} worker(s),"
        f" {memory.idle_bytes / 1e9:.1f} GB before any job, {job / 1e9:.2f} GB a job ({seen}):"
        f" {fits} fit; bound by {limits.get(count, 'memory')}",
    )
