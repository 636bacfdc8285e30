"""Many jobs on one replica: memory, file descriptors and scratch do not grow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import pytest

from tests.chaos.conftest import Row
from tests.chaos.rig import Rig
from tests.chaos.scale import Scale

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
MB = 1024 * 1024
JOBS_PER_HOUR = 120
"""Two slots with a job of a minute each: what an hour of service is."""


def test_memory_descriptors_and_scratch_stay_flat_over_many_jobs(
    rig: Rig, scale: Scale, row: Row
) -> None:
    replica = rig.static("a")
    replica.wait_ready()
    done: list[float] = []
    memory: list[float] = []
    descriptors: list[int] = []
    begun = time.monotonic()
    while len(rig.sent) < scale.soak:
        rig.until(lambda: rig.open < 10, "fewer open jobs")
        for _ in range(10):
            rig.submit(f"job-{len(rig.sent)}", {"sleep": 0.0})
        rig.flush()
        if len(rig.sent) >= scale.soak // 4:  # pools, caches and code are warm by then
            done.append(len(rig.ear.done))
            memory.append(replica.rss())
            descriptors.append(replica.descriptors())
    rig.settle()
    lasted = time.monotonic() - begun
    history = rig.judge()
    assert set(history.starts.values()) == {1}
    per_job = _slope(done, memory)
    per_hour = per_job * JOBS_PER_HOUR / MB
    spread = max(descriptors) - min(descriptors)
    early, late = statistics.median(descriptors[:5]), statistics.median(descriptors[-5:])
    # pools open a few connections more while they warm up; a leak of one for each job is dozens
    assert late - early <= (3 if scale.soak >= 2000 else 12), descriptors
    assert [path for path in rig.leftovers() if "/" in path] == []
    if scale.soak >= 2000:  # a short one is all warming-up
        assert per_hour < 1.0
    row(
        f"soak of {len(rig.sent)} jobs on one replica ({len(rig.sent) / lasted:.1f} jobs/s)",
        "RSS slope < 1 MB/h equivalent; file descriptors and scratch flat",
        f"{per_job:+.0f} bytes per job = {per_hour:+.2f} MB per hour of {JOBS_PER_HOUR} jobs "
        f"({memory[0] / MB:.0f} → {memory[-1] / MB:.0f} MB); descriptors {early:.0f} → {late:.0f}"
        f" (± {spread}); scratch empty",
    )


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least squares."""
    return statistics.linear_regression(x, y).slope
