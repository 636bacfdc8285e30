"""Which way a GPU's networks go after children that ended before they were ready."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from consumer.workers import worker as worker_module
from consumer.workers.devices import Device
from consumer.workers.ladder import PATIENCE, Ladder
from consumer.workers.protocol import EXIT_STICKY, Start
from consumer.workers.serving import EXIT_UNREADY
from consumer.workers.worker import Worker
from tests.support.work import until

CRASHED: dict[str, Any] = {"ready": False, "code": -signal.SIGSEGV, "stalled": False}
HUNG = {"ready": False, "code": -signal.SIGKILL, "stalled": True}
LOST = {"ready": False, "code": EXIT_STICKY, "stalled": False}


@pytest.mark.parametrize("end", [CRASHED, HUNG, LOST])
def test_two_that_end_so_in_a_row_let_the_next_go_a_slower_way_until_none_is_slower(
    end: dict[str, Any],
) -> None:
    ladder = Ladder("compiled")
    ways = []
    for _ in range(3 * PATIENCE):
        ladder.ended(**end)
        ways.append(ladder.way)
    assert ways == ["compiled", "captured", "captured", "single", "single", "single"]


@pytest.mark.parametrize(
    "end",
    [
        {"ready": False, "code": EXIT_UNREADY, "stalled": False},
        {"ready": False, "code": -signal.SIGKILL, "stalled": False},
        {"ready": False, "code": -signal.SIGTERM, "stalled": False},
        {"ready": True, "code": EXIT_STICKY, "stalled": False},
        {"ready": True, "code": -signal.SIGKILL, "stalled": True},
    ],
    ids=str,
)
def test_what_says_nothing_of_networks_keeps_their_way(end: dict[str, Any]) -> None:
    ladder = Ladder("compiled")
    assert not any(ladder.ended(**end) for _ in range(5))
    assert ladder.way == "compiled"


def test_one_that_was_ready_between_two_makes_each_a_chance() -> None:
    ladder = Ladder("compiled")
    for _ in range(3):
        assert not ladder.ended(**CRASHED)
        assert not ladder.ended(ready=True, code=-signal.SIGSEGV, stalled=False)


def test_a_setting_is_where_it_begins() -> None:
    ladder = Ladder("captured")
    assert [ladder.ended(**CRASHED) for _ in range(PATIENCE)] == [False, True]
    assert ladder.way == "single"


@pytest.mark.parametrize(("device", "way"), [("0", "captured"), ("", "compiled")])
async def test_a_real_child_that_crashes_as_it_begins_is_followed_by_one_that_goes_a_slower_way(
    device: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling crashes it. There is no GPU here, which the next one then says."""
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE_S", 0.1)
    worker = Worker(
        Device("cuda:0" if device else "cpu", device),
        Start("tests.support.crashing_compiler:render"),
        stall_timeout_s=30.0,
    )
    worker.start()
    try:
        await until(lambda: worker.restarts > PATIENCE)
        assert worker.ladder.way == way
    finally:
        await worker.stop()
