"""Rows of a benchmark stand alone: one that fails, hangs or is late costs no other."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bench import apart, clips, fleet, fleet_processes, gpu
from tests.bench.busy import Busy, watched
from tests.bench.fleet_processes import Round
from tests.bench.rows import Asked, also_into, row, verdict


def test_a_row_says_whether_its_target_is_met_and_only_on_a_gpu() -> None:
    asked = [Asked("streams", 20.5, 20), Asked("busy", 55, 85)]
    assert verdict(asked, True).endswith("streams 20.5 asked 20: met; busy 55 asked 85: NOT MET")
    assert "met" not in verdict(asked, False).lower()
    assert verdict([], True) == " | no target"


def test_a_row_that_raises_is_said_in_one_line() -> None:
    def broken() -> str:
        raise ValueError("first\nsecond")

    assert row("name", broken) == "  name failed: ValueError: first"


def test_what_was_found_before_a_run_was_cut_is_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.txt"
    lines = also_into(path, iter(("one", "two", "three")))
    assert (next(lines), next(lines)) == ("one", "two")
    assert path.read_text() == "one\ntwo\n"  # nobody has closed it
    assert list(also_into(None, ["one"])) == ["one"]


class _Worker:
    """Ends in its second order, and another in its place does not."""

    started = 0
    orders = 0
    closed = 0

    def __init__(self, *_: object) -> None:
        type(self).started += 1
        self._ready = False

    def order(self, jobs: int, known: bool, turns: int) -> None:
        type(self).orders += 1

    def read(self, limit_s: float) -> dict[str, Any]:
        assert 0 < limit_s <= (fleet_processes.ROW_S if self._ready else fleet_processes.START_S)
        if self._ready and self.orders == 2:
            raise RuntimeError("a process ended with -9")
        self._ready = True
        ways = {"captured": 2}
        figures = {"frames": 50, "start": 0.0, "end": 1.0, "processor_s": 1.0, "stages": {}}
        return {**figures, "networks": ways, "waited_ms": 0.25, "made": [(0.5, 40)]}

    def close(self) -> None:
        type(self).closed += 1


def _lines(engine: str, rounds: tuple[Round, ...], end: float) -> list[str]:
    found = fleet.fleet(engine, "cpu", rounds, shrunken=True, seconds=1.0, compiled=False, end=end)
    return list(found)


def test_a_process_that_ends_costs_its_own_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_processes, "Process", _Worker)
    for name in ("make_720p25", "cut_speech"):
        monkeypatch.setattr(clips, name, lambda *_: tmp_path)
    rounds = (Round(1, 1, True), Round(1, 8, True), Round(1, 8, False), Round(2, 8, False))
    lines = _lines("musetalk", rounds, time.monotonic() + 600)
    assert [("frames/s" in line, "failed: RuntimeError" in line) for line in lines] == [
        (True, False),
        (False, True),
        (True, False),
        (True, False),
    ]
    assert "; networks: 2 captured" in lines[0], "a slower way is another figure"
    assert "  50.0 frames/s in all, 80.0 amid   3.2 streams" in lines[0]
    assert "  50.0 frames/s in all, 80.0 amid   2.0 streams" in lines[2], "of new ones, all counts"
    assert ", waits 0.25 ms for the interpreter, " in lines[0]
    assert _Worker.started == _Worker.closed == 3


def test_nothing_begins_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr(fleet_processes, "Process", lambda *given: begun.append(given))
    for name in ("make_720p25", "cut_speech"):
        monkeypatch.setattr(clips, name, lambda *given: begun.append(given))
    (line,) = _lines("viseme", (Round(1, 1, True),), end=0.0)
    assert line.endswith("left out: the time is over")
    (line,) = _lines("musetalk", (Round(1, 8, True),), end=0.0)
    assert line.endswith("is over | streams asked 20; x one job asked 3; busy asked 85")
    assert begun == []


def test_a_process_that_ends_says_why(tmp_path: Path) -> None:
    setting = fleet_processes.Setting("viseme", "cpu", True, False, 1.0, str(tmp_path))
    process = fleet_processes.Process(setting, 0)
    try:
        with pytest.raises(RuntimeError, match=r"ended with 1: .*speech\.wav"):
            process.read(120.0)
    finally:
        process.close()


def test_what_runs_apart_says_its_lines_and_why_it_ended() -> None:
    code = "print('one', flush=True); raise SystemExit('the device is lost')"
    lines = list(apart.lines_of([sys.executable, "-c", code], time.monotonic() + 600))
    assert lines == ["one", "  ended with 1: the device is lost"]


def test_what_runs_apart_is_ended_in_time() -> None:
    code = "import signal; print('one', flush=True); signal.pause()"
    lines = list(apart.lines_of([sys.executable, "-c", code], time.monotonic() + 2.0))
    assert lines[-1] == "  ended with -9: its time is over"


def test_a_gpus_share_is_that_of_the_midst_of_a_row() -> None:
    assert Busy([0, 10, 90, 100, 80, 90, 20, 0], 1).share == 90
    assert Busy([50], 1).share == 50
    assert Busy().share == 0


def test_a_driver_that_does_not_count_leaves_a_gpus_share_unknown_and_its_memory_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = threading.Event()

    class NoCount(Exception):
        """NVML's own errors are of no kind that Python has."""

    def refuse(device: int) -> int:
        asked.set()
        raise NoCount

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * 10**9, 10 * 10**9))
    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    with watched("cuda") as busy:
        assert asked.wait(120.0)
    assert busy.text() == "GPU busy unknown, 7.0 GB"


def test_what_has_targets_is_measured_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "lines_of", lambda command, until: iter(["alone"]))
    monkeypatch.setattr(gpu, "fleet", lambda engine, _, rounds, **__: map(str, rounds))
    lines = list(gpu.gpu("cpu", None, None, (1, 8, 16), (1, 2), ("musetalk", "viseme"), False))
    assert lines.index("alone") < lines.index(str(Round(1, 1, True)))
    asked = [Round(1, 1, True), Round(1, 8, True), Round(1, 16, True), Round(1, 16, False)]
    first = lines.index(str(asked[0]))
    assert lines[first : first + 4] == [str(each) for each in asked]
    assert "viseme" in lines[lines.index(str(Round(2, 16, False))) + 1]


def test_networks_alone_leave_time_for_whole_renders(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[float] = []

    def ended(_: object, until: float) -> Iterator[str]:
        ends.append(until)
        return iter(())

    monkeypatch.setattr(gpu, "lines_of", ended)
    monkeypatch.setattr(gpu, "fleet", lambda *_, **__: iter(()))
    for budget_s in (gpu.BUDGET_S, 60.0):
        before = time.monotonic()
        list(gpu.gpu("cpu", None, None, None, None, ("musetalk",), False, budget_s))
        assert budget_s * gpu.ALONE <= ends.pop() - before < 0.8 * budget_s
