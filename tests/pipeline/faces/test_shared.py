from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pipeline.faces.lite import LiteNetwork
from pipeline.faces.network import Network
from pipeline.faces.shared import SharedNetwork, network_on
from pipeline.weights import FaceModels


def _pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 192, 192, generator=torch.Generator().manual_seed(count))


def test_shared_network_says_what_the_jobs_own_would_say(models: FaceModels) -> None:
    own, shared = Network(models.mesh), SharedNetwork(models.mesh, "cpu")
    for count in (1, 3):
        want, made = own(_pictures(count)), shared(_pictures(count))
        assert made.keys() == want.keys()
        for name, value in want.items():
            torch.testing.assert_close(made[name], value, atol=1e-4, rtol=1e-4)


def test_jobs_that_look_at_once_get_their_own_faces(models: FaceModels) -> None:
    own, shared = Network(models.mesh), SharedNetwork(models.mesh, "cpu")
    counts = [1, 2, 3, 4]
    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(lambda count: shared(_pictures(count)), counts))
    for count, made in zip(counts, looks, strict=True):
        want = own(_pictures(count))
        for name, value in want.items():
            torch.testing.assert_close(made[name], value, atol=1e-4, rtol=1e-4)


def test_cpu_keeps_a_network_for_each_caller(models: FaceModels) -> None:
    assert isinstance(network_on(models.mesh, "cpu"), LiteNetwork)


@pytest.mark.gpu
def test_gpu_says_what_the_cpu_says(models: FaceModels) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    want, made = (
        Network(models.mesh)(_pictures(5)),
        SharedNetwork(models.mesh, "cuda")(_pictures(5)),
    )
    for name, value in want.items():
        torch.testing.assert_close(made[name], value, atol=0.1, rtol=1e-2)
