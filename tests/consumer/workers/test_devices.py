"""One worker for each device that CUDA would see, and each sees its own alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consumer.settings import Settings
from consumer.settings.load import load
from consumer.workers.devices import Device, child_environ, find_devices, visible_gpus
from consumer.workers.rendering import use_settings
from tests.consumer.children import CPU, SECRETS


@pytest.mark.parametrize(
    ("wanted", "visible", "labels"),
    [
        (("auto",), "", ["cpu"]),
        (("auto",), "0,2", ["cuda:0", "cuda:2"]),
        (("auto",), "-1", ["cpu"]),
        (("auto",), "1,-1,0", ["cuda:1"]),
        (("auto",), "NoDevFiles", ["cpu"]),
        (("auto",), "MIG-1f2e/3, GPU-a1", ["cuda:MIG-1f2e/3", "cuda:GPU-a1"]),
        (("cpu",), "0", ["cpu"]),
        (("1", "cuda:0"), "0,1", ["cuda:1", "cuda:0"]),
    ],
)
def test_there_is_one_worker_per_device_that_cuda_would_see(
    wanted: tuple[str, ...], visible: str, labels: list[str]
) -> None:
    devices = find_devices(wanted, {"CUDA_VISIBLE_DEVICES": visible})
    assert [device.label for device in devices] == labels


@pytest.mark.parametrize(("given", "names"), [(1, ("0",)), (0, ("0", "1", "2"))])
def test_a_container_counts_the_gpus_that_it_is_given_and_not_all_of_the_host(
    given: int, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, nodes = tmp_path / "gpus", tmp_path / "dev"
    for n in range(3):
        (host / f"0000:0{n}:00.0").mkdir(parents=True)
    nodes.mkdir()
    for name in ["nvidiactl", "nvidia-uvm", *(f"nvidia{n + 2}" for n in range(given))]:
        (nodes / name).touch()
    monkeypatch.setattr("consumer.workers.devices._PROC", host)
    monkeypatch.setattr("consumer.workers.devices._DEV", nodes)
    assert visible_gpus({}) == names


def test_a_torch_for_processors_alone_finds_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0+cpu")
    assert [d.label for d in find_devices(("auto",), {"CUDA_VISIBLE_DEVICES": "0"})] == ["cpu"]


def test_a_gpu_may_have_several_workers_and_the_cpu_has_one() -> None:
    devices = find_devices(("0", "cpu", "1"), {}, per_gpu=2)
    labels = ["cuda:0", "cuda:1", "cuda:0/2", "cuda:1/2", "cpu"]
    assert [device.label for device in devices] == labels
    assert [device.visible for device in devices] == ["0", "1", "0", "1", ""]


def test_a_child_sees_its_own_device_alone() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "0,1", "PATH": "/bin", **SECRETS}
    child = child_environ(Device("cuda:1", "1"), environ)
    assert (child["CUDA_VISIBLE_DEVICES"], child["CUDA_DEVICE_ORDER"]) == ("1", "PCI_BUS_ID")
    asked = child_environ(CPU, {**environ, "CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert asked["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    assert child_environ(CPU, environ)["CUDA_VISIBLE_DEVICES"] == ""
    assert not set(SECRETS) & set(child_environ(CPU, environ))


def test_every_setting_that_a_child_heeds_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """How networks run on a GPU was set for the replica, and no worker heard of it."""
    heeded: set[str] = set()

    class Read:
        def __getattr__(self, name: str) -> Any:
            heeded.add(str(Settings.model_fields[name].validation_alias))
            return getattr(load({}), name)

    monkeypatch.setattr("consumer.settings.load.load", Read)
    monkeypatch.setattr("pipeline.hardware.allow", lambda **_: None)
    monkeypatch.setattr("pipeline.engines.duix.place.configure", lambda *_: None)
    use_settings(1)
    assert "F2F_GPU_NETWORKS" in heeded
    assert heeded - set(child_environ(CPU, dict.fromkeys(heeded, "1"))) == set()
