"""The painted inside of a mouth: teeth one can tell apart, on any skin, over a dark cavity."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.engines.viseme import cavity
from pipeline.engines.viseme.canvas import Box, Canvas
from pipeline.engines.viseme.features import LEFT, RIGHT
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.parting import Lips
from pipeline.engines.viseme.patch import Patch
from pipeline.engines.viseme.points import FACE
from tests.pipeline.engines.viseme.puppet import IO, Pose, head


def painted(aperture: float, skin: float) -> tuple[Tensor, Tensor]:
    """(h, w) luma of the lip box, and where the inside of the mouth is."""
    made, inside = _made(aperture, skin)
    return made.luma[0, 0], inside[0]


def colours(aperture: float, skin: float) -> tuple[Patch, Tensor]:
    """The lip box, and where the inside of the mouth is in its chroma, (h, w)."""
    made, inside = _made(aperture, skin)
    return made, inside[1]


def _made(aperture: float, skin: float) -> tuple[Patch, list[Tensor]]:
    lips = Box(60, 40, 120, 90)
    canvas = Canvas.make((240, 160), (120, 80), IO, lips, Box(10, 10, 220, 140), "cpu")

    def line(opened: float) -> LipLine:
        points = head(Pose(aperture=opened))[None, list(FACE), :2]
        middle = (points[:, LEFT] + points[:, RIGHT]) / 2
        return LipLine.of(points - middle[:, None] + torch.tensor([120.0, 75.0]))

    wide = line(aperture)
    parted = Lips.of(wide, canvas.whole)
    color = cavity.Skin(*(torch.full((1, 1, 1), v) for v in (skin, 110.0, 150.0)))
    made = cavity.paint(parted, line(0.0), torch.tensor([IO]), color)
    return made, [each.inside[0] > 0.9 for each in (parted.luma, parted.chroma)]


@pytest.mark.parametrize("skin", [60.0, 110.0, 190.0])
def test_a_wide_open_mouth_is_no_band_of_one_grey(skin: float) -> None:
    luma, inside = painted(0.2, skin)
    seen = luma[inside]
    bright, dark = seen.quantile(0.97), seen.quantile(0.1)
    assert bright > 2.5 * dark
    rows = torch.where(inside, luma, torch.nan).nanmean(1)
    rows = rows[torch.isfinite(rows)]
    assert rows.max() > 1.8 * rows.min()
    ends = [int((column > 0.6 * bright).nonzero().max()) for column in luma[:, 40:80].T]
    assert len(set(ends)) >= 2, "all teeth end on one line"


def test_teeth_are_brighter_against_darker_skin() -> None:
    dark, light = (painted(0.15, skin) for skin in (70.0, 190.0))
    ratio = [
        float(luma[inside].quantile(0.97) - 16) / (skin - 16)
        for (luma, inside), skin in ((dark, 70.0), (light, 190.0))
    ]
    assert ratio[0] > 1.2 * ratio[1]
    assert ratio[0] < 1.6


def test_teeth_in_the_shade_have_the_skins_tint_and_are_not_grey() -> None:
    made, inside = colours(0.05, 150.0)
    v, level = made.chroma[0, 1], made.luma[0, 0, ::2, ::2]
    for shade in (level > 110, level.clamp(60, 100) == level):
        assert float(v[inside & shade].mean()) > 128 + 0.65 * 22
