"""A worker uses the processors of its affinity and its quota, and no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from consumer.workers.processors import available, share


def _machine(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    for name, text in files.items():
        path = folder / "cgroup" / name.replace("__", "/").replace("cpu_max", "cpu.max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "own").write_text(own)
    return folder / "cgroup", folder / "own"


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def test_without_a_quota_they_are_those_of_the_affinity(tmp_path: Path) -> None:
    assert available(*_machine(tmp_path, "0::/\n", cpu_max="max 100000\n")) == 8
    assert available(tmp_path / "none", tmp_path / "none") == 8


@pytest.mark.parametrize(
    ("quota", "count"), [("300000", 3), ("150000", 2), ("20000", 1), ("9900000", 8)]
)
def test_a_quota_is_rounded_up_and_never_more_than_the_affinity(
    quota: str, count: int, tmp_path: Path
) -> None:
    assert available(*_machine(tmp_path, "0::/\n", cpu_max=f"{quota} 100000\n")) == count


def test_the_smallest_quota_of_the_folders_above_counts(tmp_path: Path) -> None:
    places = _machine(
        tmp_path,
        "0::/kube/pod/app\n",
        cpu_max="max 100000",
        kube__cpu_max="600000 100000",
        kube__pod__cpu_max="200000 100000",
        kube__pod__app__cpu_max="400000 100000",
    )
    assert available(*places) == 2


def test_the_old_cgroups_are_read_too(tmp_path: Path) -> None:
    names = {"cpu__docker__cpu.cfs_quota_us": "250000", "cpu__docker__cpu.cfs_period_us": "100000"}
    own = "5:memory:/docker\n4:cpu,cpuacct:/docker\n"
    assert available(*_machine(tmp_path, own, **names)) == 3
    names["cpu__docker__cpu.cfs_quota_us"] = "-1"
    assert available(*_machine(tmp_path, own, **names)) == 8


def test_workers_share_them_unless_a_number_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.workers.processors.available", lambda: 16)
    assert [share(None, workers) for workers in (1, 4, 5, 32)] == [16, 4, 3, 1]
    assert share(6, 4) == 6
