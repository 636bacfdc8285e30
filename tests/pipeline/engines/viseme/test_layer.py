"""What lies behind the lips: teeth that do not bend, and little light in a slit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.engines.viseme import layer, warp
from pipeline.engines.viseme.canvas import Box, Canvas
from pipeline.engines.viseme.lipline import STEPS, LipLine
from pipeline.engines.viseme.parting import Lips
from pipeline.engines.viseme.patch import Patch

CANVAS = Canvas.make((160, 128), (80, 60), 100.0, Box(28, 32, 104, 72), Box(16, 16, 128, 96), "cpu")
HALF, TEETH = 30.0, 200.0


def lips(gap: float, rise: float = 0.0) -> LipLine:
    """Lips so many pixels apart in the middle, the upper one so much higher than at rest."""
    arch = 1 - torch.linspace(-1, 1, STEPS + 1).square()
    return LipLine(
        torch.tensor([[80.0, 60.0]]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([HALF]),
        -rise * arch[None],
        (gap - rise) * arch[None],
    )


def inside(
    luma: Tensor,
    wanted: LipLine,
    source: LipLine,
    base: warp.Base | None = None,
    even: int | None = None,
) -> Tensor:
    """(72, 104) luma of the lip box."""
    piece = Patch(luma[None, None], torch.full((1, 2, 64, 80), 128.0))
    still = base or warp.at_rest(torch.zeros(1, 1, 2))
    return layer.inside_of(piece, Lips.of(wanted, CANVAS.whole), source, still, even).luma[0, 0]


def ramp() -> Tensor:
    """(128, 160), every row brighter by one than the one above: brightness tells where it was."""
    return (16.0 + torch.arange(128.0))[:, None].expand(128, 160).contiguous()


@pytest.mark.parametrize("wanted", [12.0, 20.0, 29.0])
def test_closing_lips_slide_over_teeth_and_do_not_squeeze_them(wanted: float) -> None:
    seen = inside(ramp(), lips(wanted), lips(30))
    rows = torch.arange(30, 58) if wanted > 27 else torch.arange(30, int(26 + wanted))
    assert torch.allclose(seen[rows, 52], 16.0 + rows + 32, atol=0.6)


def test_opening_lips_leave_the_teeth_under_the_upper_lip_as_tall_as_they_were() -> None:
    seen = inside(ramp(), lips(20), lips(14))
    steps = seen[28:48, 52].diff()
    assert float(steps[:4].mean()) > 0.85
    assert float(steps[-4:].mean()) < 0.65
    assert bool((steps > 0).all())  # nothing is read twice or backwards


def test_teeth_stay_on_the_skull_that_turned_between_the_pictures() -> None:
    moved = LipLine(
        torch.tensor([[86.0, 64.0]]), lips(30).axis, lips(30).half, lips(30).upper, lips(30).lower
    )
    turn = torch.eye(2)[None]
    seen = inside(ramp(), lips(20), moved, warp.Base(turn, torch.tensor([[6.0, 4.0]])))
    rows = torch.arange(30, 44)
    assert torch.allclose(seen[rows, 52], 16.0 + rows + 36, atol=0.6)


def test_teeth_in_a_slit_are_in_the_shadow_of_the_lips() -> None:
    teeth = torch.full((128, 160), TEETH)
    slit, half_open, open_ = (
        float(inside(teeth, lips(gap), lips(12))[29, 52]) for gap in (2, 5, 11)
    )
    assert slit < 0.5 * TEETH
    assert slit < half_open < open_
    assert open_ == pytest.approx(TEETH, abs=1)


def test_gaps_between_teeth_go_under_in_a_slit_that_is_darker_than_its_light_alone() -> None:
    gaps = torch.where(torch.arange(160) % 9 < 2, 60.0, TEETH).expand(128, 160).contiguous()
    near = slice(44, 60)  # the middle of the mouth
    even = layer.evening(lips(12))
    bright, dull = (inside(gaps, lips(2), lips(12), even=to)[29, near] for to in (None, even))
    assert float(dull.max() - dull.min()) < 0.5 * float(bright.max() - bright.min())
    assert float(dull.mean()) < 0.8 * float(bright.mean())
    open_ = inside(gaps, lips(11), lips(12), even=even)[30, near]
    assert float(open_.max()) - float(open_.min()) > 100


def test_teeth_are_made_even_alike_whoever_is_painted_beside_them() -> None:
    wide, small = lips(2), lips(2)
    small.half.fill_(10.0)
    both = LipLine(
        *(
            torch.cat([getattr(line, name) for line in (wide, small)])
            for name in ("middle", "axis", "half", "upper", "lower")
        )
    )
    gaps = torch.where(torch.arange(160) % 9 < 2, 60.0, TEETH).expand(128, 160).contiguous()
    piece = Patch(gaps.expand(2, 1, -1, -1), torch.full((2, 2, 64, 80), 128.0))
    still = warp.at_rest(torch.zeros(2, 1, 2))
    even = layer.evening(wide)
    source = LipLine(both.middle, both.axis, both.half, 6 * both.upper, 6 * both.lower)
    made = layer.inside_of(piece, Lips.of(both, CANVAS.whole), source, still, even).luma[0, 0]
    alone = inside(gaps, wide, lips(12), even=even)
    assert torch.allclose(made, alone, atol=1e-3)


def test_a_slit_of_the_source_keeps_its_own_light() -> None:
    teeth = torch.full((128, 160), TEETH)
    assert float(inside(teeth, lips(2), lips(2))[29, 52]) == pytest.approx(TEETH, abs=1)


def seen_inside(gap: float, made: float, closing: float = 0.0) -> Patch:
    """White teeth between lips of brightness 116 and U 100, where lips are so far apart."""
    area, line = CANVAS.whole, lips(gap)
    laid = Patch(torch.full((1, 1, 128, 160), 116.0), torch.full((1, 2, 64, 80), 100.0))
    teeth = Patch(torch.full((1, 1, 72, 104), TEETH), torch.full((1, 2, 36, 52), 128.0))
    shares = torch.tensor([made]), torch.tensor([closing])
    return layer.behind_lips(area, laid, teeth, Lips.of(line, area), *shares)


def test_a_slit_that_was_made_is_a_shadow_of_the_lips_own_colour() -> None:
    slit, open_ = seen_inside(0.2, 1.0), seen_inside(12, 1.0)
    assert float(slit.luma[0, 0, 28, 52]) == pytest.approx(16 + 0.5 * 100, abs=2)
    assert float(slit.chroma[0, 0, 14, 26]) == pytest.approx(100, abs=1)
    assert float(open_.luma[0, 0, 34, 52]) == TEETH
    assert float(open_.chroma[0, 0, 17, 26]) == 128


def test_teeth_of_a_half_shut_smile_are_lit_by_the_lips_in_part() -> None:
    between = [float(seen_inside(3.5, 1.0, shut).chroma[0, 0, 15, 26]) for shut in (0.0, 0.5)]
    assert between[0] > 125
    assert 105 < between[1] < 123


def test_a_slit_of_the_sources_own_stays_as_it_is() -> None:
    own = seen_inside(0.2, 0.0)
    assert bool((own.luma == TEETH).all())
    assert bool((own.chroma == 128).all())
