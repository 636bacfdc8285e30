"""The grid: which rate, how many frames, which picture."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.reading.grid import PictureTable, fit_grid, make_table

MS = Fraction(1, 1000)


def table(
    seconds: list[Fraction], last: Fraction, base: Fraction = Fraction(1, 90_000)
) -> PictureTable:
    ticks = [round(s / base) for s in seconds]
    return make_table(
        ticks, ticks[-1] + round(last / base), [(ticks[0], ticks[0])], base, None, True
    )


@pytest.mark.parametrize("rate", [Fraction(24_000, 1001), Fraction(30_000, 1001), Fraction(50)])
def test_milliseconds_do_not_blur_a_rate(rate: Fraction) -> None:
    """Matroska rounds time stamps to milliseconds: an hour of them is still one picture each."""
    count = int(3600 * rate)
    grid = fit_grid(table([n / rate for n in range(count)], 1 / rate, MS), [None])
    assert (grid.fps, grid.frames, grid.variable) == (rate, count, False)
    coarse = table([n / rate for n in range(2000)], 1 / rate, MS)
    assert list(map(grid.over(coarse), range(2000))) == list(range(2000))


def test_the_container_s_own_odd_rate_is_kept() -> None:
    rate = Fraction(1498, 100)
    grid = fit_grid(table([n / rate for n in range(100)], 1 / rate), [rate])
    assert (grid.fps, grid.variable) == (rate, False)


def test_a_lie_about_the_rate_is_not_believed() -> None:
    grid = fit_grid(table([Fraction(n, 25) for n in range(100)], Fraction(1, 25)), [Fraction(50)])
    assert grid.fps == 25


def test_very_fast_and_very_slow_come_at_a_rate_that_can_be_shown() -> None:
    fast = fit_grid(
        table([Fraction(n, 240) for n in range(480)], Fraction(1, 240)), [Fraction(240)]
    )
    assert (fast.fps, fast.frames) == (Fraction(120), 240)
    slow = fit_grid(table([Fraction(4 * n) for n in range(5)], Fraction(4)), [Fraction(1, 4)])
    assert (slow.fps, slow.frames) == (Fraction(25), 500)


def test_the_grid_lasts_as_long_as_the_pictures() -> None:
    rng = np.random.default_rng(5)
    seconds = np.cumsum(rng.uniform(0.01, 0.2, 500))
    pictures = table(
        [Fraction(float(s)).limit_denominator(90_000) for s in seconds], Fraction(1, 10)
    )
    grid = fit_grid(pictures, [])
    assert grid.variable
    assert abs(grid.frames / grid.fps - pictures.duration) < 1 / grid.fps
    shown = list(map(grid.over(pictures), range(grid.frames)))
    assert shown == sorted(shown)
    assert shown[0] == 0
    assert shown[-1] >= len(seconds) - 2


def test_missing_time_stamps_are_counted() -> None:
    pictures = make_table([None, None, 3], None, [(None, None)], MS, Fraction(20), True)
    assert not pictures.timed
    assert fit_grid(pictures, []).fps == 20
    assert pictures.pts.tolist() == [0, 1, 2]


def test_one_picture_is_a_still() -> None:
    grid = fit_grid(table([Fraction(3)], Fraction(0)), [Fraction(30)])
    assert (grid.fps, grid.frames) == (Fraction(25), 1)


@pytest.mark.parametrize("base", [Fraction(1, 90_000), MS])
@pytest.mark.parametrize("rate", [Fraction(30), Fraction(30_000, 1001), Fraction(24_000, 1001)])
def test_dropped_pictures_leave_the_rate_as_it_is(rate: Fraction, base: Fraction) -> None:
    kept = [n for n in range(1000) if n % 97 and not 500 < n < 520]
    pictures = table([n / rate for n in kept], 1 / rate, base)
    grid = fit_grid(pictures, [])
    assert (grid.fps, grid.frames, grid.variable) == (rate, kept[-1] - kept[0] + 1, True)
    shown = [kept[n] for n in map(grid.over(pictures), range(grid.frames))]
    assert shown == [max(k for k in kept if k <= n + kept[0]) for n in range(grid.frames)]


def test_a_recorded_screen_keeps_the_rate_at_which_it_moves() -> None:
    """Its recorder leaves out what shows nothing new: the average is too slow for lips."""
    times = [Fraction(n, 30) for n in [*range(40), *range(400, 440), 700]]
    grid = fit_grid(table(times, Fraction(1, 30)), [])
    assert (grid.fps, grid.frames) == (Fraction(30), 701)


@pytest.mark.filterwarnings("error")
def test_where_pictures_are_dropped_in_one_half_the_other_tells_the_rate() -> None:
    """As many steps of one kind as of the other: none lies in their middle."""
    times = [Fraction(n, 30) for n in [*range(21), *range(26, 146, 6)]]
    grid = fit_grid(table(times, Fraction(1, 30), MS), [])
    assert (grid.fps, grid.frames) == (Fraction(30), 141)


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(60)])
def test_a_long_hole_between_coarse_time_stamps_leaves_the_rate_as_it_is(rate: Fraction) -> None:
    """A browser counts milliseconds: the usual step is not 33 of them."""
    times = [n / rate for n in [*range(20), *range(20 + 15 * int(rate), 200 + 15 * int(rate))]]
    grid = fit_grid(table(times, 1 / rate, MS), [])
    assert (grid.fps, grid.frames) == (rate, 200 + 15 * int(rate))


def test_pictures_at_no_rate_at_all_get_their_average_however_slow() -> None:
    times = [Fraction(n * n, 100) for n in range(40)]
    grid = fit_grid(table(times, Fraction(1, 25)), [])
    assert grid.variable
    assert grid.fps == pytest.approx(40 / 15.25, rel=1e-3)
