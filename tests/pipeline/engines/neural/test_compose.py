"""A batch of painted faces has the bytes that each frame alone would have."""

from __future__ import annotations

import pytest
import torch

from pipeline.engines.neural.compose import Placed, compose
from pipeline.types import Color, Frame
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.neural.given import placed_faces
from tests.pipeline.engines.resized import opencv_linear
from tests.pipeline.engines.single import write_rgb


def _one_by_one(
    placed: list[Placed], faces: torch.Tensor, masks: torch.Tensor, color: Color
) -> list[Frame]:
    made = []
    for one, face, mask in zip(placed, faces, masks, strict=True):
        box = one.window
        size = (box.y1 - box.y0, box.x1 - box.x0)
        weight = (opencv_linear(mask, *size).float() * one.strength).round().to(torch.uint8)
        made.append(write_rgb(one.frame, opencv_linear(face, *size), weight, box, color))
    return made


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 5])
def test_batch_has_the_bytes_of_single_frames(matrix: int, full_range: bool) -> None:
    color = Color(matrix, full_range, 1, 1)
    given = placed_faces()
    for made, want in zip(compose(*given, color), _one_by_one(*given, color), strict=True):
        assert made.index == want.index
        for a, b in ((made.y, want.y), (made.u, want.u), (made.v, want.v)):
            assert torch.equal(a, b)


def test_frames_that_go_in_stay_as_they_are() -> None:
    placed, faces, masks = placed_faces()
    before = [one.frame.y.clone() for one in placed]
    compose(placed, faces, masks, synthetic.COLOR)
    assert all(torch.equal(one.frame.y, y) for one, y in zip(placed, before, strict=True))


@pytest.mark.gpu
def test_device_makes_the_bytes_of_the_host() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    want = compose(*placed_faces(), synthetic.COLOR)
    for made, host in zip(compose(*placed_faces("cuda"), synthetic.COLOR), want, strict=True):
        assert (made.y.int() - host.y.int()).abs().max() <= 1
        assert (made.u.int() - host.u.int()).abs().max() <= 1
