"""What is said of GPUs is what workers would meet."""

from __future__ import annotations

import pytest
import torch

from consumer.doctor import gpus
from consumer.doctor.gpus import torch_and_gpus, unusable
from consumer.settings.load import load


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs whose driver is older than what torch takes."""

    def refuse() -> None:
        raise RuntimeError("the NVIDIA driver is too old")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setattr(gpus, "visible_gpus", lambda environ: ("0", "1"))


@pytest.mark.usefixtures("refused")
def test_gpus_that_torch_cannot_use_are_said_with_the_reason() -> None:
    said = unusable({})
    assert said is not None
    assert said.startswith("the driver knows 2 GPU(s)")
    assert said.endswith("the NVIDIA driver is too old")


def test_where_no_gpu_is_shown_none_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert unusable({"CUDA_VISIBLE_DEVICES": ""}) is None


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(
    ("devices", "state"), [("auto", "bad"), ("0", "bad"), ("cpu", "ok"), ("cpu,0", "bad")]
)
def test_a_driver_that_is_too_old_is_bad_wherever_its_gpus_would_be_used(
    devices: str, state: str
) -> None:
    """Also with `auto`: workers are started on what the driver knows, and are never ready."""
    found = torch_and_gpus(load({"F2F_DEVICES": devices}))
    assert (found.check, found.state) == ("torch", state)
    assert ("driver is too old" in found.text) == (state == "bad")


@pytest.mark.parametrize(
    ("devices", "state"), [("0,1", "bad"), ("cuda:0", "bad"), ("cpu", "ok"), ("auto", "ok")]
)
def test_gpus_that_are_asked_for_and_not_there_are_bad(
    monkeypatch: pytest.MonkeyPatch, devices: str, state: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpus, "visible_gpus", lambda environ: ())
    found = torch_and_gpus(load({"F2F_DEVICES": devices}))
    assert found.state == state
