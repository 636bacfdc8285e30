"""SIGKILL at random instants: nothing is lost, nothing contradicts, little is done again."""

from __future__ import annotations

import random
import time
from functools import partial

import pytest

from tests.chaos.conftest import Row
from tests.chaos.history import outcomes
from tests.chaos.replica import Replica
from tests.chaos.rig import Rig
from tests.chaos.scale import Scale

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
MOST_OPEN = 40
PLANS = (
    {"sleep": 0.0},
    {"sleep": 0.1},
    {"sleep": 0.3, "size": 100_000},
    {"sleep": 0.8},
    {"sleep": 0.05, "size": 3_000_000},
)


def test_kills_of_parents_and_children_lose_nothing_and_contradict_nothing(
    rig: Rig, dice: random.Random, scale: Scale, row: Row
) -> None:
    replicas = [rig.static("pod-0"), rig.static("pod-1")]
    per_kill = scale.jobs / scale.kills
    begun = time.monotonic()
    while rig.kills < scale.kills:
        while len(rig.sent) < per_kill * (rig.kills + 1):
            rig.submit(f"job-{len(rig.sent)}", dice.choice(PLANS))
        rig.flush()
        victim = dice.choice(replicas)
        if dice.random() < 0.85:  # else: wherever it is on its way to work
            rig.until(partial(_works, rig, victim), f"{victim.name} at work")
        time.sleep(dice.uniform(0.0, 0.8))
        _kill_one(rig, victim, dice)
        rig.until(lambda: rig.open < MOST_OPEN, "fewer open jobs")
    lasted = time.monotonic() - begun
    rig.settle()
    for replica in replicas:  # one that was just begun has no handler for SIGTERM yet
        replica.wait_ready()
    assert rig.stop_replicas() == [0, 0]
    history = rig.judge()
    again = sum(count - 1 for count in history.starts.values())
    failed = [o for o in outcomes(history).values() if o.failed is not None]
    assert all(o.failed is not None and o.failed.attempt == 3 for o in failed), "three tries each"
    assert rig.leftovers() == []
    row(
        f"{rig.kills} SIGKILLs of parent or child, {len(rig.sent)} jobs, two replicas",
        "0 lost, corrupt or conflicting; ≤ 1 re-render per kill and slot",
        f"0, 0, 0; {again} re-renders ({again / rig.kills / rig.slots:.2f} per kill and slot), "
        f"{len(failed)} jobs failed after 3 killed attempts, {len(history.commits)} commits all "
        f"right, {lasted:.0f} s",
    )


def _works(rig: Rig, replica: Replica) -> bool:
    """True when it renders, or could."""
    running = replica.facts().get("kafka", {}).get("running", 0)
    return bool(running) or (rig.open == 0 and replica.get("/readyz")[0] == 200)


def _kill_one(rig: Rig, replica: Replica, dice: random.Random) -> None:
    if not replica.alive:
        raise AssertionError(f"{replica.name} ended by itself: {replica.tail()}")
    if dice.random() < 0.5 and replica.kill_child():
        rig.kills += 1
        return
    replica.kill()
    rig.kills += 1
    # now and then a pod comes back without its name in the group
    if dice.random() < 0.85:
        replica.start(KAFKA_GROUP_INSTANCE_ID=replica.name)
    else:
        replica.start()
