"""The constant-rate grid over a stream's pictures: which picture stands under which grid frame.

Grid frame k covers [k, k+1) / fps after the first picture and shows the picture that is on screen
in its middle. For a constant rate that is picture k, whatever a coarse time base made of the time
stamps; for a variable rate no picture comes earlier or later than half a frame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline.timeline import SLOW_FPS

STILL_FPS = Fraction(25)
"""Rate of the grid of a picture, and of what is slower than one frame a second."""
MAX_FPS = 120
_MAX_DENOMINATOR = 10_000
_SLACK = 0.45
"""Frames by which a time stamp may miss its place and the rate still counts as constant."""
_FEW_HOLES = 0.9
"""Share of pictures that are there from which on a rate counts as constant, with some dropped."""

Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PictureTable:
    """Every picture of a stream, in presentation order."""

    pts: Ticks
    """Strictly ascending, in time base units; (n,)."""
    end: int
    """End of the last picture, in time base units."""
    time_base: Fraction
    keys: tuple[tuple[int, int], ...]
    """(pts, dts) of the pictures where decoding may start, by pts."""
    timed: bool
    """False when the file has no usable time stamps: `pts` then counts pictures."""

    @property
    def duration(self) -> Fraction:
        """Seconds from the first picture's begin to the last one's end."""
        return (self.end - int(self.pts[0])) * self.time_base


@dataclass(frozen=True, slots=True)
class Grid:
    """A constant rate over a table."""

    fps: Fraction
    frames: int
    variable: bool
    """The pictures themselves do not come at a constant rate."""

    def over(self, table: PictureTable) -> Callable[[int], int]:
        """What says of each grid frame which picture of a table is under it, by its number."""
        rate, base = self.fps, table.time_base
        half = rate.denominator * base.denominator
        tick = 2 * rate.numerator * base.numerator
        pts: list[int] = table.pts.tolist()  # of numpy's array each look made a number first
        first = pts[0]

        def picture(frame: int) -> int:
            # The middle of a frame, (2 frame + 1) / 2 of them, in ticks.
            return max(0, bisect_right(pts, first + (2 * frame + 1) * half // tick) - 1)

        return picture


def fit_grid(table: PictureTable, declared: Iterable[Fraction | None]) -> Grid:
    """The grid of a stream: a constant rate, such as the container names, else its average."""
    count = len(table.pts)
    if count == 1 or table.duration <= 0:
        return Grid(STILL_FPS, 1, False)
    average = count / table.duration
    rates = [rate for rate in declared if rate]
    others = sorted([*rates, average], key=lambda rate: _miss(table, rate))
    for rate in _common_rates(average) + others:
        if 1 <= rate <= MAX_FPS and _miss(table, rate) <= _SLACK:
            return Grid(rate.limit_denominator(100_000), count, False)
    return _with_holes(table, average) or _resampled(table, average)


def _with_holes(table: PictureTable, average: Fraction) -> Grid | None:
    """The rate at which pictures would come had none been dropped; None where there is none.

    Cameras drop some, and recorders of screens all that show nothing new. None, too, where most
    were dropped and the average is not too slow for lips.
    """
    steps = np.diff(table.pts)
    usual = float(np.quantile(steps, 0.5, method="lower"))  # one of them, not halfway between two
    usual = float(steps[np.abs(steps - usual) < usual / 2].mean())  # coarse ticks hide it
    counts = np.ones_like(steps)
    for _ in range(3):  # the usual step, ever more exactly
        counts = np.maximum(1, np.rint(steps / usual).astype(np.int64))
        usual = float(steps.sum() / counts.sum())
    rate = Fraction(int(counts.sum())) / (int(steps.sum()) * table.time_base)
    rate = next(iter(_common_rates(rate)), rate.limit_denominator(_MAX_DENOMINATOR))
    frames = max(1, round(table.duration * rate))
    if len(table.pts) < _FEW_HOLES * frames and average >= SLOW_FPS:
        return None
    places = np.concatenate([[0], np.cumsum(counts)])
    if not 1 <= rate <= MAX_FPS or _miss(table, rate, places) > _SLACK:
        return None
    return Grid(rate, frames, True)


def _resampled(table: PictureTable, average: Fraction) -> Grid:
    rate = average.limit_denominator(_MAX_DENOMINATOR)
    if rate < 1:
        rate = STILL_FPS
    elif rate > MAX_FPS:
        rate /= -(-rate // MAX_FPS)
    return Grid(rate, max(1, round(table.duration * rate)), True)


def _common_rates(average: Fraction) -> list[Fraction]:
    """Rates of television and film within a tenth of a percent."""
    plain = [Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120)]
    rates = [Fraction(25, 2), *plain, *(n * Fraction(1000, 1001) for n in (24, 30, 48, 60, 120))]
    near = [rate for rate in rates if abs(rate - average) <= average / 1000]
    return sorted(near, key=lambda rate: abs(rate - average))


def _miss(table: PictureTable, rate: Fraction, places: Ticks | None = None) -> float:
    """How far a picture lies from its place at a constant rate, at most; frames."""
    place = (table.pts - table.pts[0]) * float(table.time_base * rate)
    return float(np.abs(place - (np.arange(len(place)) if places is None else places)).max())


def every_second(table: PictureTable) -> PictureTable:
    """A table without every other picture, each of which then belongs to the one before it.

    As it is where pictures are only counted: what a number stands for cannot be changed there.
    """
    return replace(table, pts=table.pts[::2]) if table.timed else table


def make_table(
    pts: Sequence[int | None],
    end: int | None,
    keys: Iterable[tuple[int | None, int | None]],
    time_base: Fraction | None,
    rate: Fraction | None,
    reliable: bool,
) -> PictureTable:
    """Order what a scan has seen; without usable time stamps pictures are counted.

    Args:
        pts: of every picture that is shown, in file order, at least one.
        end: latest end of a picture, if known.
        keys: (pts, dts) of the pictures where decoding may start, in file order.
        time_base: seconds per tick.
        rate: frames per second to count with.
        reliable: False when the container has no presentation times to tell.
    """
    known = [stamp for stamp in pts if stamp is not None]
    if (
        not reliable
        or time_base is None
        or len(known) < len(pts)
        or len(set(known)) * 2 < len(known)
    ):
        count = len(pts)
        clock = 1 / (rate or STILL_FPS)
        return PictureTable(np.arange(count, dtype=np.int64), count, clock, ((0, 0),), False)
    ordered = np.unique(np.asarray(known, np.int64))
    starts = sorted((p, p if d is None else d) for p, d in keys if p is not None)
    # Durations belong to decoding order: they say when the last picture ends only if that is
    # the order on screen.
    if end is None or end <= ordered[-1] or known != sorted(known):
        step = int(np.median(np.diff(ordered))) if len(ordered) > 1 else 1
        end = int(ordered[-1]) + step
    return PictureTable(ordered, end, time_base, tuple(starts), True)
