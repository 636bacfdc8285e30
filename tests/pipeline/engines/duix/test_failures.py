"""A task that cannot end well ends with a reason, and leaves nothing in the shared folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import Cancelled, EngineFailed, EngineUnavailable
from pipeline.types import Tick
from schemas.codes import Stage
from tests.pipeline.engines.duix.calls import MakeSpec, leftovers, render
from tests.pipeline.engines.duix.standin import Behaviour, container


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (Behaviour(fail="人脸检测失败"), "人脸检测失败"),
        (Behaviour(forget=True), "lost the task"),
        (Behaviour(hang=True), "stands still at 20 %"),
        (Behaviour(broken=True), "9999"),
        (Behaviour(locked=10_000), "10003"),
        (Behaviour(no_file=True), "DUIX_DATA_DIR"),
    ],
    ids=["fail", "forget", "hang", "broken", "locked", "no-file"],
)
def test_a_task_that_cannot_end_well_ends_with_a_reason(
    behave: Behaviour,
    says: str,
    spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with container(tmp_path / "data", behave) as there:
        with pytest.raises(EngineFailed, match=says):
            render(monkeypatch, there, spec())
        left = [name for name in leftovers(there) if not name.startswith("elsewhere")]
    assert left == []
    assert not (tmp_path / "job" / "out.mp4").exists()


@pytest.mark.parametrize("behave", [None, Behaviour(nonsense=10_000)], ids=["gone", "nonsense"])
def test_a_container_that_does_not_answer_is_worth_a_retry(
    behave: Behaviour | None,
    spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with container(tmp_path / "data", behave) as there:
        if behave is not None:
            with pytest.raises(EngineUnavailable, match="DUIX_INTERNAL_URL") as caught:
                render(monkeypatch, there, spec())
    if behave is None:  # the port is closed now
        with pytest.raises(EngineUnavailable, match="DUIX_INTERNAL_URL") as caught:
            render(monkeypatch, there, spec())
    assert caught.value.error_facts().retryable


def test_a_cancelled_job_stops_waiting_at_once(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_tick(tick: Tick) -> None:
        if tick.stage == "generate" and tick.done == 20:
            raise Cancelled("stopped on request", stage=Stage.GENERATE)

    with container(tmp_path / "data", Behaviour(hang=True)) as there:
        with pytest.raises(Cancelled):
            render(monkeypatch, there, spec(), on_tick)
        assert leftovers(there) == []
