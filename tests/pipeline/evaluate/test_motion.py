"""Shaking is compared with the reference's frames under the output, not with all of them."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.evaluate.motion import measure_motion
from pipeline.quality.mouths import Mouths
from pipeline.timeline import Timeline
from schemas.request import Loop

FPS = Fraction(25)


def shaking(by: torch.Tensor) -> Mouths:
    """Points that jump to and fro by an amount of each frame, io."""
    sign = 1.0 - 2.0 * (torch.arange(len(by)) % 2)
    places = (sign * by)[:, None, None].expand(-1, 4, 2)
    none: Any = None
    return Mouths(
        *(none,) * 4,
        usable=torch.ones(len(by), dtype=torch.bool),
        box=none,
        lips=places,
        skull=places,
        chin_points=places,
        lower=none,
        face=none,
        middle=none,
        turn=none,
        template=None,
    )


def watched(by: torch.Tensor) -> Any:
    video = SimpleNamespace(fps=FPS, still=False)
    return SimpleNamespace(mouths=shaking(by), video=video)


def ratio(timeline: Timeline | None) -> float:
    calm = torch.full((20,), 0.01)
    laughs = torch.cat([calm, torch.full((40,), 0.10)])
    evidence = SimpleNamespace(
        output=watched(calm),
        reference=watched(laughs),
        timeline=timeline,
        fps=float(FPS),
        range=SimpleNamespace(talks=True),
    )
    figures = Figures()
    measure_motion(cast("Evidence", evidence), figures)
    return float(figures.values["lip_acceleration_ratio"])


def test_a_laugh_that_no_output_frame_lies_on_does_not_excuse_shaking() -> None:
    assert ratio(Timeline(FPS, 20, FPS, 60, Loop.PINGPONG)) == pytest.approx(1.0)


def test_without_a_known_timeline_the_whole_reference_counts() -> None:
    assert ratio(None) < 0.3
