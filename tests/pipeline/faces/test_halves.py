from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from pipeline.faces.halves import FEWEST, HalvedNetwork
from pipeline.faces.network import Network
from pipeline.weights import FaceModels


def _pictures(count: int) -> Tensor:
    return torch.rand(count, 3, 192, 192, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("count", [1, FEWEST, FEWEST + 1])
def test_halves_say_what_the_whole_says_on_any_number_of_threads(
    models: FaceModels, count: int
) -> None:
    network = Network(models.mesh)
    whole = network(_pictures(count))
    one, two = (HalvedNetwork(network, threads)(_pictures(count)) for threads in (1, 2))
    assert one.keys() == two.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(one[name], two[name]), "the same bits"
        torch.testing.assert_close(one[name], value, atol=1e-4, rtol=1e-4)


class _Meeting(Network):
    """Answers only when two threads are inside, each with a half; or fails in one of them."""

    def __init__(self, fails: bool = False) -> None:
        self.device, self.size = "cpu", 1
        self._both = threading.Barrier(2)
        self._fails = fails

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        self._both.wait(30)
        if self._fails and threading.current_thread().name.startswith("f2f-look"):
            raise MemoryError("no room for the second half")
        return {"first": pictures[:, 0, 0, :1]}


def test_halves_run_at_the_same_time_and_keep_their_order() -> None:
    pictures = torch.arange(5.0).view(5, 1, 1, 1)
    assert HalvedNetwork(_Meeting(), 2)(pictures)["first"].flatten().tolist() == [0, 1, 2, 3, 4]


def test_what_fails_beside_fails_the_look() -> None:
    with pytest.raises(MemoryError, match="second half"):
        HalvedNetwork(_Meeting(fails=True), 2)(torch.zeros(4, 1, 1, 1))
