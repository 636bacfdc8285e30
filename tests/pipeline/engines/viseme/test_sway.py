"""A still picture's head turns a little; what is around it does not move."""

from __future__ import annotations

import pytest
import torch

from pipeline.engines.viseme.sway import OVAL, REACH_X, REACH_Y, sway, swing
from pipeline.types import Frame
from tests.pipeline.engines.viseme.puppet import IO, Pose, draw, head

POSE = Pose()


def still() -> Frame:
    """A puppet before a wall with a pattern, in which any motion would be seen."""
    frame = draw(POSE, 0, 320, 400)
    torch.manual_seed(0)
    noise = torch.nn.functional.avg_pool2d(torch.rand(1, 1, 324, 404) * 255, 5, 1)[0, 0]
    return Frame((0.5 * frame.y + 0.5 * noise).to(torch.uint8), frame.u, frame.v, 0)


def shift(before: Frame, after: Frame, rows: slice, columns: slice) -> float:
    """Pixels by which a part moved to the right."""

    def part(frame: Frame, step: int) -> torch.Tensor:
        return frame.y[rows, columns.start - step : columns.stop - step].float()

    costs = {n: float((part(after, 0) - part(before, n)).abs().mean()) for n in range(-5, 6)}
    return min(costs, key=lambda n: costs[n])


def test_the_middle_of_the_face_goes_where_it_is_told() -> None:
    before, points = still(), head(POSE)
    x0, y0 = points[list(OVAL), :2].amin(0)
    x1, y1 = points[list(OVAL), :2].amax(0)
    x, y = int(x0 + x1) // 2, int(y0 + y1) // 2
    middle = (slice(y - 8, y + 8), slice(x - 8, x + 8))
    for step in (-3, 2, 4):
        after = sway(before, points, (step / IO, 0.0), "cpu")
        assert shift(before, after, *middle) == pytest.approx(step)


def test_nothing_moves_at_the_outline_and_beyond() -> None:
    before, points = still(), head(POSE)
    after = sway(before, points, (0.03, 0.02), "cpu")
    changed = torch.nonzero(before.y != after.y).flip(1)
    assert len(changed) > 1000
    outline = points[list(OVAL), :2]
    middle, half = (outline.amin(0) + outline.amax(0)) / 2, (outline.amax(0) - outline.amin(0)) / 2
    assert float(((changed - middle) / half).norm(dim=1).max()) < 1.0
    for plane, other in ((before.u, after.u), (before.v, after.v)):
        far = torch.nonzero(plane != other).flip(1) * 2.0
        assert float(((far - middle) / half).norm(dim=1).max()) < 1.05


def test_a_swaying_face_keeps_its_detail() -> None:
    before, points = still(), head(POSE)
    after = sway(before, points, (0.005, 0.005), "cpu")
    part = (slice(120, 200), slice(160, 240))

    def detail(frame: Frame) -> float:
        luma = frame.y[part].float()
        around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
        return float((4 * luma[1:-1, 1:-1] - around).abs().mean())

    assert detail(after) > 0.85 * detail(before)


def test_it_begins_at_rest_is_slow_and_stays_small() -> None:
    assert swing(0.0) == (0.0, 0.0)
    places = torch.tensor([swing(n / 25) for n in range(25 * 120)])
    assert float(places[:, 0].abs().max()) <= 2 * REACH_X
    assert float(places[:, 1].abs().max()) <= 2 * REACH_Y
    assert float(places.std(0).min()) > 0.3 * REACH_Y
    assert float(places.diff(dim=0).abs().max()) < 0.003
    assert sway(still(), head(POSE), (0.0, 0.0), "cpu").y.equal(still().y)
