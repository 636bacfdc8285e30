"""One worker for each device that CUDA would see, and each sees its own alone."""

from __future__ import annotations

import pytest

from consumer.devices import Device, child_environ, find_devices
from tests.consumer.children import CPU, SECRETS


@pytest.mark.parametrize(
    ("wanted", "visible", "labels"),
    [
        (("auto",), "", ["cpu"]),
        (("auto",), "0,2", ["cuda:0", "cuda:2"]),
        (("auto",), "-1", ["cpu"]),
        (("cpu",), "0", ["cpu"]),
        (("1", "cuda:0"), "0,1", ["cuda:1", "cuda:0"]),
    ],
)
def test_there_is_one_worker_per_device_that_cuda_would_see(
    wanted: tuple[str, ...], visible: str, labels: list[str]
) -> None:
    devices = find_devices(wanted, {"CUDA_VISIBLE_DEVICES": visible})
    assert [device.label for device in devices] == labels


def test_a_gpu_may_have_several_workers_and_the_cpu_has_one() -> None:
    devices = find_devices(("0", "cpu", "1"), {}, per_gpu=2)
    labels = ["cuda:0", "cuda:1", "cuda:0/2", "cuda:1/2", "cpu"]
    assert [device.label for device in devices] == labels
    assert [device.visible for device in devices] == ["0", "1", "0", "1", ""]


def test_a_child_sees_its_own_device_alone() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "0,1", "PATH": "/bin", **SECRETS}
    assert child_environ(Device("cuda:1", "1"), environ)["CUDA_VISIBLE_DEVICES"] == "1"
    assert child_environ(CPU, environ)["CUDA_VISIBLE_DEVICES"] == ""
    assert not set(SECRETS) & set(child_environ(CPU, environ))
