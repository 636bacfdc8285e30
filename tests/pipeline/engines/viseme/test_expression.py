"""A mouth's slow part is kept from the frame, its fast part comes from elsewhere."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from pipeline.engines.viseme.expression import (
    LEVEL,
    SHUT_MOST,
    keep_width,
    lent,
    less_smile,
    level,
    nearness,
    slow,
)
from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.heads import fit_heads, mean_skull
from pipeline.engines.viseme.shape import edit
from pipeline.speech.mouth_range import MouthPath, MouthRange
from tests.pipeline.engines.viseme.puppet import Pose, head

FPS = Fraction(25)
COUNT = 75
_AT = torch.arange(COUNT) / 25
SYLLABLES = torch.sin(2 * torch.pi * 5 * _AT)
SMILE = 0.04 * (_AT > 1.5)


def mouths() -> Tensor:
    """(75, K, 3): syllables of a fifth of a second, and a smile in the second half."""
    points = torch.stack([head(Pose(0.06))])
    one = fit_heads(points, mean_skull(points)).shape.expand(COUNT, -1, -1)
    now = measure(one)
    aperture = 0.06 + 0.05 * SYLLABLES
    return edit(one, aperture, now.width + SMILE - 0.02 * SYLLABLES, 0.45 * (aperture - 0.06))


def test_the_slow_part_keeps_the_smile_and_nothing_of_the_syllables() -> None:
    run = torch.zeros(COUNT, dtype=torch.int64)
    found = measure(slow(mouths(), torch.arange(COUNT), run, FPS).float())
    assert float((found.aperture - LEVEL).abs().max()) < 0.004
    rest = float(measure(mouths()).width[0])
    assert abs(float(found.width[5:12].mean()) - rest) < 0.005
    assert abs(float(found.width[-12:-5].mean()) - rest - 0.04) < 0.005


def test_what_is_slow_does_not_cross_a_cut() -> None:
    run = (torch.arange(COUNT) > 37).long()
    found = measure(slow(mouths(), torch.arange(COUNT), run, FPS).float()).width
    assert float(found[38] - found[37]) > 0.03


def test_a_gaping_mouth_has_the_expression_of_the_frames_around() -> None:
    calm = mouths()[:1].expand(COUNT, -1, -1).clone()
    gaping = calm.clone()
    now = measure(calm[30:50])
    gaping[30:50] = edit(calm[30:50], torch.full((20,), 0.45), now.width - 0.1, now.jaw * 0 + 0.1)
    run = torch.zeros(COUNT, dtype=torch.int64)
    found, expected = (slow(each, torch.arange(COUNT), run, FPS) for each in (gaping, calm))
    assert float((found - expected).abs().max()) < 0.004
    alone = slow(gaping[30:50], torch.arange(20), run[:20], FPS)
    assert bool(alone.isfinite().all())
    assert abs(float(measure(alone.float()).aperture.mean()) - LEVEL) < 0.004


def test_the_width_is_the_frames_own_and_moves_as_the_speech_asks() -> None:
    own = slow(mouths(), torch.arange(COUNT), torch.zeros(COUNT, dtype=torch.int64), FPS)
    asked = 0.5 + 0.02 * SYLLABLES
    path = MouthPath(torch.zeros(COUNT), asked, torch.zeros(COUNT))
    wide = MouthRange(0.2, 0.0, 0.2, 0.5, 0.9, talks=True)
    found = keep_width(path, own, wide, FPS).width
    expected = measure(own.float()).width + 0.02 * SYLLABLES
    assert torch.allclose(found[30:-30], expected[30:-30], atol=0.003)
    tight = MouthRange(0.2, 0.0, 0.5, 0.5, 0.5, talks=True)
    held = keep_width(path, own, tight, FPS).width
    assert float((held - 0.5).abs().max()) <= float((measure(own.float()).width - 0.5).abs().max())


def test_a_lender_that_stays_lends_no_expression() -> None:
    bank = level(mouths())
    still = lent(bank, torch.full((200,), 70), torch.tensor([100]), FPS)
    assert float(still.abs().max()) < 1e-6
    moving = lent(bank, torch.arange(COUNT).repeat(3), torch.tensor([100]), FPS)
    assert float(moving.abs().max()) > 0.002


@pytest.mark.parametrize("fps", [25, 50])
def test_a_closure_is_near_for_a_moment_whatever_the_rate(fps: int) -> None:
    closed = torch.zeros(2 * fps, dtype=torch.bool)
    closed[fps : fps + fps // 12] = True
    near = nearness(closed, Fraction(fps))
    assert float(near[fps : fps + fps // 12].min()) > 0.6
    assert float(near[: fps - fps // 8].max()) == 0
    assert float(nearness(torch.zeros_like(closed), Fraction(fps)).max()) == 0


def test_closures_take_a_part_of_a_smile_and_nothing_of_a_mouth_without_one() -> None:
    one = mouths()[:1].clone()
    width = measure(one).width
    one[:, [LEFT, RIGHT], 1] += 0.1  # below the upper lip
    assert torch.equal(less_smile(width, one, torch.ones(1)), width)
    one[:, [LEFT, RIGHT], 1] -= 0.15
    found = width - less_smile(width, one, torch.tensor([1.0, 0.5, 0.0]))
    assert 0.02 < float(found[0]) <= SHUT_MOST
    assert float(found[1]) == pytest.approx(float(found[0]) / 2)
    assert float(found[2]) == 0
