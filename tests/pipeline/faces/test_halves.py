"""Looking at a batch in halves gives the same bits on any number of threads."""

from __future__ import annotations

import threading

import pytest
import torch

from pipeline.faces.halves import FEWEST, Halves, halves_on
from pipeline.faces.mesh import MeshNetwork
from pipeline.types import Frame
from pipeline.weights import FaceModels
from tests.pipeline.faces.pictures import demo_facts

COUNTS = [1, FEWEST, FEWEST + 1]


@pytest.mark.parametrize("count", COUNTS)
def test_meshes_have_the_same_bits_on_any_number_of_threads(
    face_models: FaceModels, portrait: Frame, count: int
) -> None:
    regions = torch.tensor([[255.0 + n, 163, 221, 0] for n in range(count)])
    with torch.inference_mode():
        one, two = (
            MeshNetwork(face_models.mesh, threads=threads)(
                [portrait] * count, regions, demo_facts().color
            )
            for threads in (1, 2)
        )
    for mine, its in ((one.points, two.points), (one.score, two.score), (one.colors, two.colors)):
        assert len(mine) == count
        assert torch.equal(mine, its)


@pytest.mark.parametrize("count", COUNTS)
def test_parts_are_the_same_on_any_number_of_threads_and_whole_on_a_gpu(count: int) -> None:
    def places(halves: Halves) -> list[range]:
        return halves.each(count, lambda part: range(count)[part])

    assert places(Halves(1)) == places(Halves(2))
    assert [n for part in places(Halves(2)) for n in part] == list(range(count))
    assert places(halves_on("cuda", 2)) == [range(count)]


def test_halves_run_at_the_same_time_in_the_caller_s_mode() -> None:
    both = threading.Barrier(2)

    def work(part: slice) -> bool:
        both.wait(120)
        return torch.is_inference_mode_enabled()

    assert Halves(2).each(5, work) == [False, False]
    with torch.inference_mode():
        assert Halves(2).each(5, work) == [True, True]


def test_what_fails_beside_fails_the_look() -> None:
    def work(part: slice) -> None:
        if part.start:
            raise MemoryError("no room for the second half")

    with pytest.raises(MemoryError, match="second half"):
        Halves(2).each(4, work)
