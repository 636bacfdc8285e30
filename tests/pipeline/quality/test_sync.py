"""Agreement, lag and closures are found where they are, and nowhere else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pipeline.quality.sync import agreement, closures, open_vowels
from pipeline.speech.phones import PhoneSpan


def wave(frames: int, late: float = 0.0) -> Tensor:
    at = torch.arange(frames) - late
    return 0.1 + 0.05 * torch.sin(at / 3.0) + 0.03 * torch.sin(at / 7.7 + 1)


@pytest.mark.parametrize("late", [-5, -1.25, 0, 2, 6])
def test_the_lag_between_asked_and_seen_is_found(late: float) -> None:
    found = agreement(wave(200), wave(200, late), 25.0)
    assert found is not None
    assert abs(found.lag_s - late / 25) <= 0.011
    assert found.best_r > 0.99
    assert found.best_r >= found.r


def test_a_mouth_of_another_speech_does_not_agree() -> None:
    found = agreement(wave(400), wave(400).flip(0) ** 3, 25.0)
    assert found is not None
    assert found.best_r < 0.8


def test_unmeasured_frames_do_not_count() -> None:
    seen = wave(200)
    seen[50:90] = float("nan")
    found = agreement(wave(200), seen, 25.0)
    assert found is not None
    assert found.r > 0.999


@pytest.mark.parametrize("late", [-2, 0, 1.5])
def test_frames_in_which_nothing_is_known_of_the_asked_mouth_do_not_count(late: float) -> None:
    asked = wave(200)
    asked[:60] = asked[100] = asked[131:133] = float("nan")
    found = agreement(asked, wave(200, late), 25.0)
    assert found is not None
    assert abs(found.lag_s - late / 25) <= 0.011
    assert found.best_r > 0.99
    assert found.r > 0.7


def test_still_mouths_and_few_frames_have_no_correlation() -> None:
    assert agreement(wave(100), torch.full((100,), 0.1), 25.0) is None
    assert agreement(torch.zeros(100), wave(100), 25.0) is None
    assert agreement(wave(9), wave(9), 25.0) is None
    assert agreement(wave(50), torch.full((50,), float("nan")), 25.0) is None


def test_every_bilabial_is_judged_by_its_least_aperture() -> None:
    spans = [PhoneSpan("AA", 0, 1), PhoneSpan("M", 1.0, 1.1), PhoneSpan("P", 2.0, 2.1)]
    seen = torch.full((100,), 0.1)
    seen[25] = 0.01  # 1.00 s
    found = closures(spans, seen, 25.0, 0.03)
    assert [(shut.phone.name, shut.closed) for shut in found] == [("M", True), ("P", False)]
    assert found[0].frame == 25


def test_bilabials_out_of_sight_are_not_judged() -> None:
    seen = torch.full((100,), 0.1)
    seen[20:40] = float("nan")
    spans = [PhoneSpan("B", 1.0, 1.1), PhoneSpan("B", 9.0, 9.1)]
    assert closures(spans, seen, 25.0, 0.03) == []


def test_open_vowels_are_seen_where_they_are_widest() -> None:
    seen = torch.full((100,), 0.05)
    seen[27] = 0.2
    spans = [PhoneSpan("AA", 1.0, 1.3), PhoneSpan("IY", 2.0, 2.3)]
    found = open_vowels(spans, seen, 25.0, 0.03)
    assert [(span.name, frame) for span, frame in found] == [("AA", 27)]
    assert math.isclose(float(seen[found[0][1]]), 0.2, rel_tol=1e-6)
