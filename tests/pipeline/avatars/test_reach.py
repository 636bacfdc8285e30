"""What is tracked covers the output, comes in few lengths, and is little more than needed."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pipeline.avatars.reach import tracked_frames


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(25, 2), Fraction(1)])
def test_it_covers_the_output_and_stays_inside_the_reference(fps: Fraction) -> None:
    for frames in (1, 7, 249, 250, 251, 400, 5000):
        for used in {1, min(frames, 251), frames // 2 or 1, frames}:
            found = tracked_frames(used, fps, frames)
            assert used <= found <= frames


def test_speeches_of_many_lengths_share_few_avatars() -> None:
    found = {tracked_frames(used, Fraction(25), 100_000) for used in range(1, 3000, 10)}
    assert found == {250, 375, 500, 750, 1000, 1500, 2000, 3000}


def test_it_is_at_most_half_as_much_again_beyond_the_least() -> None:
    for used in range(251, 20_000, 97):
        assert tracked_frames(used, Fraction(25), 100_000) <= 1.51 * used


def test_a_reference_that_is_nearly_used_up_is_tracked_whole() -> None:
    assert tracked_frames(10, Fraction(25), 312) == 312
    assert tracked_frames(10, Fraction(25), 313) == 250
