"""Replicas come and go, jobs last: nothing is lost, nothing that runs is started twice."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests.chaos.conftest import Row
from tests.chaos.replica import Replica
from tests.chaos.rig import CALM, Rig
from tests.chaos.scale import SHORT, Scale

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
SLACK_S = 2.0
"""What a drain may take beyond its grace."""
MOST_IDLES = 2.0
"""Times what a replica takes to go that has nothing to do."""
MOST_OPEN = 8
"""Jobs: more than two replicas take in at a time."""


def test_replicas_that_come_and_go_start_nothing_twice(
    rig: Rig, dice: random.Random, scale: Scale, row: Row
) -> None:
    grace = {**CALM, "F2F_DRAIN_S": "90"}
    longest = 4.0 if scale == SHORT else 20.0
    present = [rig.replica("r0", **grace), rig.replica("r1", **grace)]
    for replica in present:
        replica.wait_ready()
    leaving: list[Replica] = []
    changes = 0
    end = time.monotonic() + scale.churn_s
    while time.monotonic() < end:
        while rig.open < 12:
            seconds = round(min(longest, 0.5 + dice.expovariate(0.5)), 1)
            if dice.random() < 0.04:
                seconds = longest
            rig.submit(f"job-{len(rig.sent)}", {"sleep": seconds})
        rig.flush()
        time.sleep(dice.uniform(1.0, 5.0))
        if len(present) < 2 or (len(present) < 4 and dice.random() < 0.5):
            present.append(rig.replica(f"r{len(rig.replicas)}", **grace))
        else:
            leaver = present.pop(dice.randrange(len(present)))
            leaver.terminate()
            leaving.append(leaver)
        changes += 1
    rig.settle()
    for replica in leaving:
        code = replica.wait(120)
        # told to go before it could hear: it had taken nothing
        assert code == 0 or not replica.said("health is served"), replica.tail()
    history = rig.judge()  # every commit is checked there, and that nothing was rendered twice
    assert set(history.starts.values()) == {1}
    assigned = _assignments(rig)
    row(
        f"{changes} joins and leaves within {scale.churn_s:.0f} s, {len(rig.sent)} jobs of "
        f"0.5–{longest:g} s",
        "0 lost; no running job started twice; no commit past an unfinished record",
        f"0; 0; {len(history.commits)} commits all right ({assigned} assignments)",
    )


def test_a_job_of_three_poll_intervals_leaves_no_group(rig: Rig, scale: Scale, row: Row) -> None:
    interval = 3.0 if scale == SHORT else 10.0
    for name in ("a", "b"):
        replica = rig.replica(name, **CALM, KAFKA_MAX_POLL_INTERVAL_S=f"{interval:g}")
        replica.wait_ready()
    before, assigned = rig.members(), _assignments(rig)
    assert len(before) == 2
    for name in ("long-1", "long-2", "long-3"):
        rig.submit(name, {"sleep": 3 * interval + 0.5})
    rig.settle()
    assert rig.members() == before, "the broker's view"
    again = _assignments(rig) - assigned
    assert again == 0
    assert rig.judge().starts == {"long-1": 1, "long-2": 1, "long-3": 1}
    row(
        f"3 jobs of 3 × max_poll_interval ({interval:g} s), two replicas",
        "0 group leaves, 0 rebalances",
        f"0, {again}",
    )


def _assignments(rig: Rig) -> int:
    return sum(len(replica.said("partitions assigned")) for replica in rig.replicas)


STAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("full slots and a full backlog", {"event": "render starts", "jobs": 6}),
    ("in a render longer than the grace", {"event": "render starts", "seconds": 8.0}),
    ("while it starts", {"starting": 1.2}),
    ("just admitted", {"event": "admitted"}),
    ("a render just begun", {"event": "render starts"}),
    ("near the end of a render", {"event": "render starts", "after": 1.0}),
    ("a job just done", {"event": "record done"}),
    ("idle", {"jobs": 0, "ready": True}),
)


@pytest.mark.parametrize("grace", [5, 60])
def test_a_rolling_deploy_exits_in_time_and_repeats_nothing_that_was_finished(
    rig: Rig, grace: int, scale: Scale, row: Row
) -> None:
    if grace == 60 and scale == SHORT:
        pytest.skip("the longer grace needs minutes: `make chaos` has it")
    env = {"F2F_DRAIN_S": str(grace)}
    pods = [rig.static("pod-0", **env), rig.static("pod-1", **env)]
    took: dict[str, float] = {}
    for number, (name, stage) in enumerate(STAGES[: scale.stages]):
        pod = pods[number % 2]
        other = pods[1 - number % 2]
        other.wait_ready()
        pod.wait_ready()
        if "starting" in stage:
            pod.kill()
            rig.kills += 1
            pod.start(KAFKA_GROUP_INSTANCE_ID=pod.name, **env)
            time.sleep(stage["starting"])
        else:
            _reach(rig, pod, **stage)
        took[name] = _deploy(pod, grace)
        pod.start(KAFKA_GROUP_INSTANCE_ID=pod.name, **env)
    rig.settle()
    history = rig.history()
    given_up = sum(e["given_up"] for pod in pods for e in pod.said("drained"))
    # only what was given up at the end of the grace may be rendered again, and what a kill broke
    history.kills, history.slots = given_up + rig.kills * rig.slots, 1
    rig.judge(history)
    idle = took.get("idle", 0.0)  # on a machine that is busy, all that is beyond a grace is longer
    longest = max(took.values())
    assert longest <= grace + max(SLACK_S * scale.slow, MOST_IDLES * idle), took
    row(
        f"rolling deploy at {len(took)} stages, grace {grace} s, {len(rig.sent)} jobs",
        "exit 0 within grace + 2 s; finished jobs never redone",
        f"exit 0, longest {longest:.1f} s, idle {idle:.1f} s; 0 ({given_up} given up unfinished)",
    )


def _reach(
    rig: Rig,
    pod: Replica,
    event: str = "",
    jobs: int = 2,
    after: float = 0.0,
    ready: bool = False,
    seconds: float = 1.2,
) -> None:
    """Bring a replica to an instant of its work, with jobs of so many seconds."""
    before = len(pod.said(event)) if event else 0
    for _ in range(jobs):
        rig.submit(f"job-{len(rig.sent)}", {"sleep": seconds})
    while event and len(pod.said(event)) == before:  # until one comes to this replica
        if rig.open < MOST_OPEN:
            rig.submit(f"job-{len(rig.sent)}", {"sleep": seconds})
        rig.flush()
        time.sleep(0.3)
    rig.flush()
    if ready:
        rig.until(lambda: rig.open == 0, "nothing to do")
    time.sleep(after)


def _deploy(pod: Replica, grace: int) -> float:
    """SIGTERM; how long it took to exit with 0."""
    begun = time.monotonic()
    listens = pod.said_since_start()
    pod.terminate()
    code = pod.wait(grace + 120)
    took = time.monotonic() - begun
    # a process that is still being loaded cannot listen, and ends by the signal itself
    assert code == 0 or not listens, (code, pod.tail())
    return took
