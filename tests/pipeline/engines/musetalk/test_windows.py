"""Each frame hears its own stretch of the speech, at every rate and length."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from pipeline.engines.musetalk.windows import (
    BEFORE,
    STEP_RATE,
    WINDOW,
    positional_table,
    tokens,
    window_steps,
)

RATES = [Fraction(12), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001)]
RATES += [Fraction(30), Fraction(50), Fraction(60000, 1001), Fraction(120)]


@pytest.mark.parametrize("fps", RATES)
def test_ten_minutes_drift_by_nothing(fps: Fraction) -> None:
    last = int(600 * fps)
    index = window_steps(fps, range(last, last + 1), 600 * STEP_RATE + 100)
    begins = Fraction(int(index[0, BEFORE]), STEP_RATE)
    assert 0 <= Fraction(last) / fps - begins < Fraction(1, STEP_RATE)


@pytest.mark.parametrize("fps", RATES)
def test_window_begins_four_steps_before_its_frame_at_every_rate(fps: Fraction) -> None:
    frames = range(200)
    index = window_steps(fps, frames, 10_000)
    for n in frames:
        own = int(n / fps * STEP_RATE)
        want = [own - BEFORE + k if own - BEFORE + k >= 0 else -1 for k in range(WINDOW)]
        assert index[n].tolist() == want


def test_windows_over_the_end_hold_silence_and_never_fail() -> None:
    index = window_steps(Fraction(50), range(148, 170), 150)
    assert index[0].tolist() == [144, 145, 146, 147, 148, 149, -1, -1, -1, -1]
    assert (index[-1] == -1).all()


def test_tokens_run_through_the_states_of_each_step_and_silence_is_zero() -> None:
    states = torch.arange(3 * 5 * 2, dtype=torch.float32).reshape(3, 5, 2) + 1
    index = torch.tensor([[2, 0, -1, -1, -1, -1, -1, -1, -1, -1]])
    got = tokens(states, index)
    assert got.shape == (1, 50, 2)
    assert torch.equal(got[0, :5], states[2])
    assert torch.equal(got[0, 5:10], states[0])
    assert not got[0, 10:].any()


def test_positions_are_sines_and_cosines_interleaved() -> None:
    table = positional_table(50, 384)
    assert table[0, 0::2].abs().max() == 0
    assert (table[0, 1::2] == 1).all()
    assert table[7, 0] == pytest.approx(0.6569866, abs=1e-6)
