"""A device's memory is measured before jobs, and for each job on top."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pipeline.device_memory import CONTEXT, MemoryWatch, Reading, watch_memory
from schemas.device import DeviceMemory

GB = 10**9


class Device:
    """A device whose allocator takes what the test says."""

    def __init__(self) -> None:
        self.most = 7 * GB

    def read(self) -> Reading:
        return Reading(141 * GB, self.most)


def _held(**of_jobs: int) -> DeviceMemory:
    return DeviceMemory(total_bytes=141 * GB, idle_bytes=7 * GB + CONTEXT, **of_jobs)


def test_before_a_job_nothing_is_known_of_jobs() -> None:
    device = Device()
    assert MemoryWatch(device.read).held() == _held()


def test_growth_belongs_to_as_many_jobs_as_ever_ran_at_once() -> None:
    device = Device()
    watch = MemoryWatch(device.read)
    with watch.job():
        device.most = 9 * GB
        assert watch.held().job_bytes == 2 * GB
        with watch.job(), watch.job():
            device.most = 10 * GB
    assert watch.held() == _held(job_bytes=GB, jobs=3)
    with watch.job():  # reuses what the others have freed
        assert watch.held().job_bytes == GB


def test_a_job_that_fails_is_over() -> None:
    watch = MemoryWatch(Device().read)
    for _ in range(2):
        try:
            with watch.job():
                raise ValueError
        except ValueError:
            pass
    assert watch.held().jobs == 1


def test_what_warming_took_and_gave_back_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peak = [30 * GB]  # convolutions were tried, and graphs captured

    def forget(device: str) -> None:
        peak[0] = 7 * GB

    for name, paper in {
        "get_device_properties": lambda device: SimpleNamespace(total_memory=141 * GB),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": forget,
        "max_memory_reserved": lambda device: peak[0],
    }.items():
        monkeypatch.setattr(torch.cuda, name, paper)
    watch = watch_memory("cuda")
    assert watch is not None
    assert watch.held() == _held()


def test_there_is_nothing_to_watch_on_a_cpu() -> None:
    assert watch_memory("cpu") is None
