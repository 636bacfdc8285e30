"""The store's connections are cut, refused and slowed at random; the scratch disk is full."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import Row
from tests.chaos.cutting import Cutter
from tests.chaos.history import outcomes
from tests.chaos.rig import CALM, Rig
from tests.chaos.scale import Scale
from tests.support.disks import own_disk
from tests.support.handles import S3Handle

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
MB = 1024 * 1024


@pytest.fixture
def cutter(s3: S3Handle, dice: random.Random, scale: Scale) -> Iterator[Cutter]:
    made = Cutter(s3.endpoint, dice, scale.cuts)
    made.start()
    yield made
    made.stop()


def test_connections_cut_at_random_bytes_leave_nothing_partial_and_no_orphan(
    rig: Rig, cutter: Cutter, dice: random.Random, scale: Scale, row: Row
) -> None:
    for name in ("a", "b"):
        rig.static(name, S3_ENDPOINT=cutter.endpoint, **CALM)
    sizes = (1000, 100_000, 2_000_000)
    while cutter.done["cut"] < scale.cuts:
        rig.until(lambda: rig.open < 8, "fewer open jobs")
        rig.submit(f"job-{len(rig.sent)}", {"sleep": 0.05, "size": dice.choice(sizes)})
        rig.flush()
    rig.settle()
    assert rig.stop_replicas() == [0, 0]
    history = rig.judge()
    assert {o.failed for o in outcomes(history).values()} == {None}, "an outage fails no job"
    assert rig.leftovers() == []
    done = cutter.done
    row(
        f"S3 connections cut at random bytes × {done['cut']}, {done['refuse']} × 503, "
        f"{done['drip']} slow drips; {len(rig.sent)} jobs",
        "0 partial objects visible, 0 orphans",
        f"0 (seen by {rig.witness.looks} listings), 0; all completed, none rendered twice",
    )


def test_a_full_scratch_disk_fails_or_puts_off_jobs_and_nothing_else(
    rig: Rig, tmp_path: Path, row: Row
) -> None:
    folder = tmp_path / "small-disk"
    prefix = own_disk(folder, 8 * MB)
    # tries enough that none of the small ones meets a full disk at each
    tries = {"F2F_MAX_ATTEMPTS": "8"}
    replica = rig.static("a", prefix=prefix, DUIX_DATA_DIR=str(folder), **tries)
    replica.wait_ready()
    pid = replica.pid
    small = [f"small-{n}" for n in range(12)]
    middle = [f"middle-{n}" for n in range(6)]
    for n, job_id in enumerate(small):
        rig.submit(job_id, {"sleep": 0.05})
        if n < len(middle):  # two of these do not fit beside each other
            rig.submit(middle[n], {"sleep": 0.1, "size": 5 * MB})
        if n == 6:
            rig.submit("too-large", {"size": 12 * MB})
    rig.settle()
    assert replica.alive
    assert replica.pid == pid
    history = rig.history()
    # an attempt that found the disk full is an attempt: it may be made again
    history.kills, history.slots = len(history.retries), 1
    rig.judge(history)
    seen = Path(f"/proc/{pid}/root{folder}/jobs")
    left = [str(p) for p in seen.rglob("*") if p.is_file() and p.name != ".lock"]
    assert left == []
    assert set(small) <= set(rig.ear.completed)
    assert rig.ear.failed["too-large"] == 1
    put_off = len(history.retries)
    row(
        f"scratch disk of 8 MB, {len(rig.sent)} jobs, two at a time, 6 of 5 MB and one of 12 MB",
        "clean retry or failure, process lives, scratch empty",
        f"{put_off} put off, {len(rig.ear.failed)} failed, {len(rig.ear.completed)} completed; "
        "lives; empty",
    )
