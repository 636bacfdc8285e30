"""The same wish again, at once or much later: one outcome, and no second render."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.chaos.conftest import Row
from tests.chaos.history import outcomes
from tests.chaos.rig import CALM, Rig
from tests.chaos.scale import Scale

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
COPIES = 5


def test_the_same_request_five_times_at_once_on_three_replicas_is_one_outcome(
    rig: Rig, scale: Scale, row: Row
) -> None:
    for name in ("a", "b", "c"):
        rig.replica(name, **CALM)
    for replica in rig.replicas:
        replica.wait_ready()
    jobs = [f"twin-{n}" for n in range(max(4, scale.stages))]
    for job_id in jobs:
        rig.sent.append(job_id)
        for copy in range(COPIES):
            value = rig.request(job_id, {"sleep": 0.6})
            rig.produce(value, job_id, partition=copy)
    rig.settle()
    history = rig.judge()
    assert len(history.requests) == COPIES * len(jobs)
    found = [outcomes(history)[key] for key in outcomes(history)]
    assert len(found) == len(jobs), "one render each"
    assert all(history.starts[job_id] == 1 for job_id in jobs)
    assert all(outcome.copies == COPIES for outcome in found), "each record was answered"
    manifests = sum(key.endswith(".json") and "results/" in key for key in history.objects)
    row(
        f"the same request {COPIES} × at once on 3 replicas, {len(jobs)} times",
        "1 manifest, 1 digest, 1 event id each",
        f"{manifests / len(jobs):g}, {sum(len(o.digests) for o in found) / len(jobs):g}, "
        f"{sum(len(o.ids) for o in found) / len(jobs):g}; 1 render each",
    )


def test_a_replay_of_finished_jobs_renders_nothing(rig: Rig, scale: Scale, row: Row) -> None:
    for replica in (rig.static("a", **CALM), rig.static("b", **CALM)):
        replica.wait_ready()
    jobs = [f"done-{n}" for n in range(scale.replays)]
    for job_id in jobs:
        rig.submit(job_id, {"sleep": 0.0})
    rig.settle()
    begun = time.monotonic()
    replayed = _replay(rig)
    rig.until(lambda: all(rig.ear.completed[j] >= 2 for j in jobs), "all outcomes announced again")
    lasted = time.monotonic() - begun
    rig.settle()
    history = rig.judge()
    assert sum(history.starts.values()) == len(jobs), "not one frame was rendered again"
    assert len(history.requests) == 2 * len(jobs)
    row(
        f"replay of {len(jobs)} finished jobs, two replicas",
        "0 frames rendered",
        f"0; {len(jobs) / lasted:.0f} jobs/s from the start of `face2face replay` to the last "
        f"event (its sending alone {len(jobs) / replayed:.0f} jobs/s)",
    )


def _replay(rig: Rig) -> float:
    """Seconds that `face2face replay --all` took."""
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "consumer.cli", "replay", "--all"],
        env={**os.environ, **rig.env},
        check=True,
        capture_output=True,
        timeout=600,
    )
    return time.monotonic() - begun
