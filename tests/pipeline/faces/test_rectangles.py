"""Plain numbers say of boxes what tensors said."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from pipeline.faces.rectangles import Rect, area, closeness, is_one, longer, middle, overlap, rect


def drawn(seed: int) -> Rect:
    """A box of whole pixels somewhere in a small picture."""
    chance = random.Random(seed)
    x, y = chance.randrange(80), chance.randrange(80)
    return (float(x), float(y), float(x + chance.randint(1, 90)), float(y + chance.randint(1, 90)))


def shared(box: Tensor, other: Tensor) -> float:
    """Intersection over union, counted pixel by pixel."""
    pictures = torch.zeros(2, 200, 200, dtype=torch.bool)
    for picture, (x0, y0, x1, y1) in zip(pictures, (box.tolist(), other.tolist()), strict=True):
        picture[int(y0) : int(y1), int(x0) : int(x1)] = True
    return float((pictures[0] & pictures[1]).sum() / (pictures[0] | pictures[1]).sum())


@pytest.mark.parametrize("seed", range(12))
def test_overlap_is_the_share_of_the_pixels_that_both_have(seed: int) -> None:
    box, other = drawn(seed), drawn(seed + 100)
    assert overlap(box, other) == pytest.approx(shared(torch.tensor(box), torch.tensor(other)))
    assert overlap(box, other) == overlap(other, box)
    assert overlap(box, box) == 1


def test_loose_boxes_of_one_face_are_one_and_neighbours_are_two() -> None:
    face = (100.0, 100.0, 200.0, 200.0)
    assert is_one(face, (60.0, 60.0, 260.0, 260.0))
    assert not is_one(face, (190.0, 100.0, 290.0, 200.0))
    assert not is_one(face, (100.0, 100.0, 130.0, 130.0)), "a corner has not the middle"


def test_closeness_falls_with_distance_and_with_another_size() -> None:
    face = (0.0, 0.0, 100.0, 80.0)
    assert closeness(face, face) == 1
    assert closeness((100.0, 0.0, 200.0, 80.0), face) == pytest.approx(0.3679, abs=1e-4)
    assert closeness((25.0, 20.0, 75.0, 60.0), face) == pytest.approx(0.5)


def test_a_box_has_four_sides() -> None:
    box = rect([1, 2, 5, 8, 0.9])
    assert (area(box), longer(box), middle(box)) == (24, 6, (3, 5))
