"""Every figure has a name and a bar, and one that is missing has a reason."""

from __future__ import annotations

import math

from pipeline.evaluate.catalogue import BY_NAME, KINDS
from pipeline.evaluate.ledger import Figures


def test_names_are_told_apart_and_bars_have_a_direction() -> None:
    assert len(BY_NAME) == len(KINDS)
    assert all(kind.better != "neither" for kind in KINDS if kind.bar is not None)


def test_a_bar_is_met_from_its_own_side() -> None:
    assert BY_NAME["aperture_best_r"].met(0.95)
    assert not BY_NAME["aperture_best_r"].met(0.94)
    assert BY_NAME["lip_acceleration_ratio"].met(1.1)
    assert not BY_NAME["lip_acceleration_ratio"].met(1.2)
    assert BY_NAME["end_difference_ms"].met(-20)
    assert not BY_NAME["end_difference_ms"].met(-21)
    assert BY_NAME["energy_r"].met(0.1) is None


def test_what_cannot_be_measured_is_left_out_with_its_reason() -> None:
    figures = Figures()
    figures.put("sharpness", math.nan, "no face")
    figures.put("flicker_mean", 3.14159)
    figures.ratio("flicker_ratio", 1.0, 0.0, "it rests")
    figures.ratio("sharpness_ratio", 1.0, 2.0, "it rests")
    assert figures.left_out() == {"flicker_ratio": "it rests", "sharpness": "no face"}
    values = {name: measure["value"] for name, measure in figures.measures().items()}
    assert values == {"flicker_mean": 3.14, "sharpness_ratio": 0.5}
