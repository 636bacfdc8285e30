"""One worker for each device that CUDA would see, and each sees its own alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from consumer.settings import Settings, SettingsError
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


A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-1a"
MIG, OLD_MIG = "MIG-5c89852c-d268-c3f3-1b07-005d5ae1dc3f", f"MIG-{A}/7/0"


@pytest.mark.parametrize(
    ("wanted", "visible", "seen"),
    [
        (("0",), "2,3", ["2"]),
        (("1", "0"), "2,3", ["3", "2"]),
        (("cuda:1",), f"{A},{MIG}", [MIG]),
        ((A[:12],), A, [A[:12]]),
        ((A,), A[:12], [A]),
        ((MIG,), f"{A},{MIG}", [MIG]),
        ((OLD_MIG,), OLD_MIG, [OLD_MIG]),
        ((A,), "2,3", [A]),
        (("0", "cpu"), "3", ["3", ""]),
    ],
)
def test_a_number_counts_the_gpus_that_this_process_was_given_and_a_uuid_is_one_of_them(
    wanted: tuple[str, ...], visible: str, seen: list[str]
) -> None:
    devices = find_devices(wanted, {"CUDA_VISIBLE_DEVICES": visible})
    assert [device.visible for device in devices] == seen
    assert all(child_environ(d)["CUDA_VISIBLE_DEVICES"] == d.visible for d in devices)


@pytest.mark.parametrize(
    ("wanted", "visible", "advice"),
    [
        ("2", "2,3", "2 GPU(s).*write 0 to 1, auto or cpu"),
        ("0", "", "0 GPU(s).*write auto or cpu"),
        ("0", "NoDevFiles", "0 GPU(s)"),
        (MIG, A, "1 GPU(s).*write 0, auto or cpu"),
    ],
)
def test_a_gpu_that_this_process_was_not_given_is_an_error_that_names_both_and_what_to_write(
    wanted: str, visible: str, advice: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        find_devices((wanted,), {"CUDA_VISIBLE_DEVICES": visible})
    said = str(caught.value)
    assert said.startswith(f"F2F_DEVICES = {wanted!r}: CUDA_VISIBLE_DEVICES = {visible!r} shows")
    assert re.search(advice.replace("(", r"\(").replace(")", r"\)"), said)


@pytest.mark.parametrize(
    ("listed", "gpus", "names"),
    [
        (f"{MIG},{OLD_MIG}", 1, (MIG, OLD_MIG)),
        (MIG, 1, (MIG,)),
        (A, 1, ("0",)),
        (f"{A},{B}", 8, (A, B)),
        (A, 0, (A,)),
        ("2,3", 2, ("0", "1")),
        ("all", 2, ("0", "1")),
        ("void", 2, ("0", "1")),
        ("none", 0, ()),
        ("/var/run/nvidia-container-devices", 1, ("0",)),
    ],
)
def test_in_kubernetes_each_gpu_or_part_of_one_that_the_pod_was_given_is_found(
    listed: str, gpus: int, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device plugin lists UUIDs for the container's runtime; a privileged pod sees all GPUs."""
    numbers = tuple(str(n) for n in range(gpus))
    monkeypatch.setattr("consumer.workers.devices._counted", lambda: numbers)
    environ = {"NVIDIA_VISIBLE_DEVICES": listed}
    assert visible_gpus(environ) == names
    if names:
        last = find_devices((str(len(names) - 1),), environ)
        assert [device.visible for device in last] == [names[-1]]


def test_what_cuda_is_shown_counts_before_what_the_container_was_given() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "1", "NVIDIA_VISIBLE_DEVICES": f"{MIG},{OLD_MIG}"}
    assert visible_gpus(environ) == ("1",)


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
