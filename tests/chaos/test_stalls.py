"""Processes that hang, and parents that vanish: what is killed, and how soon."""

from __future__ import annotations

import signal
import time

import pytest

from tests.chaos.conftest import Row
from tests.chaos.history import outcomes
from tests.chaos.replica import gone
from tests.chaos.rig import Rig
from tests.chaos.scale import Scale

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
STALL_S = 5.0
DEADLINE_S = 2.0


def test_a_worker_that_hangs_is_killed_and_its_job_done(rig: Rig, scale: Scale, row: Row) -> None:
    replica = rig.static("a", F2F_STALL_TIMEOUT_S=f"{STALL_S:g}", F2F_SLOTS="1")
    replica.wait_ready()
    (child,) = replica.children()
    gate = rig.folder / "gate"
    rig.submit("held-up", {"gate": str(gate)})
    rig.flush()
    rig.until(lambda: bool(replica.said("render starts")), "a render")
    stopped = time.monotonic()
    replica.signal_child(signal.SIGSTOP)
    rig.until(lambda: gone(child), "the end of the stopped worker")
    took = time.monotonic() - stopped
    gate.touch()
    rig.kills += 1
    rig.settle()
    (outcome,) = outcomes(rig.judge()).values()
    assert outcome.completed is not None
    assert took <= STALL_S + 5.0 * scale.slow
    row(
        f"worker SIGSTOPped during a render, stall limit {STALL_S:g} s",
        "killed at the limit + 5 s at the latest; the job completes",
        f"killed after {took:.1f} s; completed at try {outcome.completed.attempt}",
    )


def test_a_render_that_does_not_stop_at_its_deadline_is_killed(
    rig: Rig, scale: Scale, row: Row
) -> None:
    replica = rig.static("a", F2F_JOB_TIMEOUT_S=f"{DEADLINE_S:g}", F2F_SLOTS="1")
    replica.wait_ready()
    (child,) = replica.children()
    rig.submit("deaf", {"sleep": 600.0, "deaf": True})
    rig.flush()
    rig.until(lambda: bool(replica.said("render starts")), "a render")
    begun = time.monotonic()
    rig.until(lambda: gone(child), "the end of the deaf worker")
    took = time.monotonic() - begun
    rig.settle()
    (outcome,) = outcomes(rig.judge()).values()
    assert outcome.failed is not None
    assert outcome.failed.error.code == "DEADLINE_EXCEEDED"
    assert took <= DEADLINE_S + 5.0 * scale.slow
    row(
        f"a render that ignores its deadline of {DEADLINE_S:g} s",
        "killed at deadline + 5 s at the latest",
        f"killed after {took:.1f} s; {outcome.failed.error.code}",
    )


def test_the_worker_of_a_killed_parent_is_gone_at_once(rig: Rig, scale: Scale, row: Row) -> None:
    replica = rig.static("a")
    replica.wait_ready()
    (child,) = replica.children()
    gate = rig.folder / "gate"
    rig.submit("interrupted", {"gate": str(gate), "deaf": True})
    rig.flush()
    rig.until(lambda: bool(replica.said("render starts")), "a render")
    begun = time.monotonic()
    replica.kill()
    rig.kills += 1
    rig.until(lambda: gone(child), "the end of the orphan")
    took = time.monotonic() - begun
    gate.touch()
    replica.start(KAFKA_GROUP_INSTANCE_ID=replica.name)
    rig.settle()
    rig.judge()
    assert took <= 10.0 * scale.slow
    row("parent SIGKILLed during a render", "its worker gone ≤ 10 s", f"{took:.2f} s")
