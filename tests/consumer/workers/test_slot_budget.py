"""Slots follow the memory that was measured, or the number that is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from consumer.workers.protocol import Beat
from consumer.workers.slot_budget import MOST, Slots, choose
from consumer.workers.slots import Fleet
from schemas.device import WAYS, DeviceMemory, Way
from tests.support.handles import S3Handle
from tests.support.work import settings_for

GB = 10**9
H200 = DeviceMemory(total_bytes=141 * GB, idle_bytes=7 * GB)


def _measured(job: float, total: float = 141, idle: float = 7) -> DeviceMemory:
    values = {"total_bytes": total, "idle_bytes": idle, "job_bytes": job}
    return DeviceMemory(jobs=3, **{name: int(value * GB) for name, value in values.items()})


def test_a_number_means_what_it_always_meant() -> None:
    assert choose(3, H200).count == 3
    assert choose(3, None).count == 3


def test_without_a_gpu_one_job_runs_at_a_time() -> None:
    assert choose(None, None).count == 1


@pytest.mark.parametrize(
    ("memory", "workers", "threads", "count"),
    [
        (H200, 1, 16, MOST),  # far more would fit
        (H200, 1, 6, 6),  # fewer processors
        (_measured(0.38), 4, 16, MOST),
        (_measured(4.0), 2, 16, 12),  # 0.8 * 141 / 2 - 7 = 49.4
        (_measured(0.5, total=12), 1, 16, 5),  # 9.6 - 7 = 2.6
        (_measured(9.0, total=12), 1, 16, 1),  # never none
        (_measured(1.0, total=12, idle=11), 1, 16, 1),
        (_measured(1e-6, total=12), 1, 64, MOST),  # a job counts as something
    ],
)
def test_slots_are_what_a_share_of_the_memory_holds(
    memory: DeviceMemory, workers: int, threads: int, count: int
) -> None:
    assert choose(None, memory, workers, threads).count == count


def test_the_reason_names_the_figures() -> None:
    why = choose(None, _measured(4.0), 2, 16).why
    for part in ("80%", "141.0 GB", "2 worker", "7.0 GB before", "4.00 GB a job", "measured"):
        assert part in why
    assert "assumed" in choose(None, H200).why


def _fleet(folder: Path, **changes: Any) -> Fleet:
    nowhere = S3Handle("none", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    return Fleet(settings_for(nowhere, folder, F2F_THREADS=16, **changes))


def test_a_fleet_counts_again_when_a_worker_has_measured(tmp_path: Path) -> None:
    fleet = _fleet(tmp_path, F2F_DEVICES="0", F2F_WORKERS_PER_GPU=2)
    first, second = fleet.workers
    assert fleet.capacity == 2
    first._remember(Beat(memory=_measured(4.0)))
    assert (fleet.slots_of(first), fleet.slots_of(second), fleet.capacity) == (12, 1, 13)
    shown = fleet.health()[first.device.label]
    assert shown["slots"] == 12
    assert shown["slots_why"].startswith("auto: 80%")
    first._remember(Beat(memory=_measured(20.0)))
    assert fleet.slots_of(first) == 2


def test_a_fixed_number_is_never_counted_again(tmp_path: Path) -> None:
    fleet = _fleet(tmp_path, F2F_DEVICES="0", F2F_SLOTS=2)
    fleet.workers[0]._remember(Beat(memory=_measured(4.0)))
    assert fleet.capacity == 2
    assert _fleet(tmp_path, F2F_DEVICES="0", F2F_SLOTS="auto").capacity == 1
    assert Slots(2, "F2F_SLOTS") == choose(2, None)


def test_health_and_metrics_show_which_way_each_network_goes(tmp_path: Path) -> None:
    fleet = _fleet(tmp_path, F2F_DEVICES="5,cpu", F2F_GPU_NETWORKS="captured")
    gpu, _ = fleet.workers
    label = gpu.device.label
    ways: dict[str, Way] = {"musetalk paints": "single", "faces: mesh": "captured"}
    gpu._remember(Beat(networks={**ways, "musetalk hears": "captured"}))
    gpu._remember(Beat(networks=ways, slowed=["musetalk paints"]))
    shown = fleet.health()
    assert shown[label]["networks"] == ways
    assert shown[label]["networks_at_best"] == "captured"
    assert (shown["cpu"]["networks"], shown["cpu"]["networks_at_best"]) == ({}, None)
    counted = [_networks(label, way) for way in WAYS]
    assert counted == [0.0, 1.0, 1.0]
    assert _slowed(label) == 1.0
    gpu.ladder.way = "single"
    gpu._remember(Beat(networks=ways))
    assert _slowed(label) == 2.0, "after crashes all go more slowly"


def _networks(device: str, way: str) -> float | None:
    return REGISTRY.get_sample_value("face2face_gpu_networks", {"device": device, "way": way})


def _slowed(device: str) -> float | None:
    return REGISTRY.get_sample_value("face2face_gpu_networks_slowed", {"device": device})
