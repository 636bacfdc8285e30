"""A network that jobs share says what each job's own would say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.batching import captured, placed
from pipeline.faces import halves, loaded, shared
from pipeline.faces.litert import LiteNetwork
from pipeline.faces.network import Network
from pipeline.faces.shared import SharedNetwork, network_on
from pipeline.weights import FaceModels
from tests.support import paper_cuda


def _pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 192, 192, generator=torch.Generator().manual_seed(count))


def test_shared_network_says_what_the_jobs_own_would_say(face_models: FaceModels) -> None:
    own, together = Network(face_models.mesh), SharedNetwork(face_models.mesh, "cpu")
    for count in (1, 3):
        want, made = own(_pictures(count)), together(_pictures(count))
        assert made.keys() == want.keys()
        for name, value in want.items():
            torch.testing.assert_close(made[name], value, atol=1e-4, rtol=1e-4)


def test_jobs_that_look_at_once_get_their_own_faces(face_models: FaceModels) -> None:
    own, together = Network(face_models.mesh), SharedNetwork(face_models.mesh, "cpu")
    counts = [1, 2, 3, 4]
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(lambda count: together(_pictures(count)), counts))
    for count, made in zip(counts, looks, strict=True):
        want = own(_pictures(count))
        for name, value in want.items():
            torch.testing.assert_close(made[name], value, atol=1e-4, rtol=1e-4)


@pytest.fixture
def on_paper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host counts as a GPU, with CUDA on paper."""
    paper_cuda.install(monkeypatch)
    monkeypatch.setattr(captured, "_WARM_UP", 1)
    for module in (placed, shared, halves, loaded):
        monkeypatch.setattr(module, "is_cuda", lambda device: True)
    loaded.of_root.forget()
    yield
    loaded.of_root.forget()


@pytest.mark.usefixtures("on_paper", "face_models")
def test_on_a_gpu_the_first_job_finds_every_size_captured_whatever_its_budget() -> None:
    loaded.warm("cpu")
    pairs = [loaded.networks("cpu", threads) for threads in (1, 2, 16)]
    assert len({id(each) for pair in pairs for each in pair}) == 2
    for each in pairs[0]:
        network: Any = each._network
        graphs: Any = network._shared._runner._graphs
        assert {size for size, made in graphs.items() if made.graph} == set(shared.BUCKETS)


@pytest.mark.usefixtures("on_paper")
def test_a_look_that_was_captured_sees_what_the_network_sees(face_models: FaceModels) -> None:
    own, there = Network(face_models.detector), SharedNetwork(face_models.detector, "cpu")
    there.warm()
    seen = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(3))
    made = there(seen)
    for name, value in own(seen).items():
        torch.testing.assert_close(made[name].as_subclass(Tensor), value, atol=1e-4, rtol=1e-4)


def test_cpu_keeps_a_network_for_each_caller(face_models: FaceModels) -> None:
    assert isinstance(network_on(face_models.mesh, "cpu"), LiteNetwork)


@pytest.mark.gpu
def test_gpu_says_what_the_cpu_says(face_models: FaceModels) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    want, made = (
        Network(face_models.mesh)(_pictures(5)),
        SharedNetwork(face_models.mesh, "cuda")(_pictures(5)),
    )
    for name, value in want.items():
        torch.testing.assert_close(made[name], value, atol=0.1, rtol=1e-2)
