"""The visible label changes its own box and nothing else."""

from __future__ import annotations

import pytest
import torch

from pipeline.mark.visible import VisibleLabel
from pipeline.types import Frame
from schemas.request import LabelOptions


def _frame(width: int = 320, height: int = 240) -> Frame:
    y = torch.full((height, width), 128, dtype=torch.uint8)
    u = torch.full((height // 2, width // 2), 90, dtype=torch.uint8)
    return Frame(y, u, u.clone(), 0)


@pytest.mark.parametrize("position", ["top-left", "top-right", "bottom-left", "bottom-right"])
def test_label_lies_in_its_corner_and_touches_no_pixel_elsewhere(position: str) -> None:
    frame = _frame()
    options = LabelOptions.model_validate({"text": "AI generated", "position": position})
    label = VisibleLabel.draw(options, frame.width, frame.height)
    made = label.apply(frame)
    h, w = label.height, label.width
    changed = (made.y != frame.y).nonzero()
    assert len(changed) > 50
    assert changed[:, 0].min() >= label.y
    assert changed[:, 0].max() < label.y + h
    assert changed[:, 1].min() >= label.x
    assert changed[:, 1].max() < label.x + w
    assert (label.y < frame.height // 2) == position.startswith("top")
    assert (label.x < frame.width // 2) == position.endswith("left")
    assert bool((frame.y == 128).all())


def test_label_is_readable_white_on_dark() -> None:
    label = VisibleLabel.draw(LabelOptions(text="AI"), 640, 480)
    made = label.apply(_frame(640, 480))
    assert int(made.y.max()) > 220
    assert int(made.y.min()) < 100


@pytest.mark.parametrize("size", [(16, 16), (64, 2), (2, 64)])
def test_label_fits_pictures_smaller_than_itself(size: tuple[int, int]) -> None:
    frame = _frame(*size)
    made = VisibleLabel.draw(LabelOptions(text="A long label text"), *size).apply(frame)
    assert made.y.shape == frame.y.shape


def test_label_mixes_to_within_a_level_of_exact_arithmetic() -> None:
    frame = _frame()
    values = torch.arange(frame.y.numel()).remainder(256).to(torch.uint8)
    frame = Frame(values.view(frame.y.shape), frame.u, frame.v, 0)
    label = VisibleLabel.draw(LabelOptions(text="AI"), frame.width, frame.height)
    made = label.apply(frame)
    box = (slice(label.y, label.y + 2), slice(label.x, label.x + label.width))  # no ink there
    exact = frame.y[box].double() * 0.55 + 16 * 0.45
    assert float((made.y[box] - exact).abs().max()) <= 1.0
    assert int(made.u[label.y // 2, label.x // 2]) == round(90 * 0.55 + 128 * 0.45)
    assert bool((made.y != made.y.flatten()[0]).any())
