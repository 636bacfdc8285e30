"""Whether film shows two moments in each picture: by what it says of itself, it may or may not.

Cameras and editors put progressive film into interlaced streams ("25PsF", "30p in 60i"), which is
the stream's word alone. As libavfilter's idet does, lines are compared with those around them in
their own picture and in the one before and after: of two moments, the lines of one field are nearer
to the picture before, and those of the other to the picture after. idet counts whole pictures; here
only what moves counts, as of somebody who talks that is a hundredth of the picture.

And tapes that were digitised in haste, and broadcasts that were recorded so, are woven film that
says it is progressive. Only film of their size and rate is looked at for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.reading.cursor import Cursor, open_cursor
from pipeline.reading.grid import PictureTable
from pipeline.reading.pixel_format import laid_out

_PLACES, _RUN = 3, 8
"""Stretches that are looked at, and pictures of each."""
_COLUMNS = 2
"""Of so many columns one is looked at: half the work."""
_MOVED = 24
"""Levels by which a sample changes from the picture before to the one after where something moves;
noise changes it less."""
_ENOUGH = 500
"""Samples that moved, at least, for a verdict."""
_EVEN = 0.05
"""Logarithm of the fields' difference up to which there is none: progressive film of eleven people
is within .02 where enough moves, woven film beyond .15."""
_WOVEN = 0.2
"""The same from which on film is woven that says it is not: five people on tape, woven and encoded
so, have .34 and more, and without .01; where hardly anything is left of it (crf 28), .13 and more.
"""
_TAPES = frozenset(
    {(576, Fraction(25)), (480, Fraction(30_000, 1001)), (486, Fraction(30_000, 1001))}
)
"""Lines, and pictures a second."""
_BROADCASTS = frozenset({(1080, Fraction(25)), (1080, Fraction(30_000, 1001))})
"""The same. Most such film is progressive, and looking at it takes long: if it is plain from the
first stretches, the others are not looked at."""
_TALL = min(lines for lines, _ in _BROADCASTS)
_DOUBLED = 8
"""Times that a line may be nearer to the one on one side than to the one on the other: where it is
nearer still, each line is there twice, which no two moments lie in."""
_SMOOTH = 2
"""Times that the lines of one moment lie closer to each other than to those of the next picture."""

Luma = NDArray[np.int16]


def is_combed(path: Path, table: PictureTable) -> bool:
    """Whether a film is as interlaced as it says: yes, unless enough moves to see that it is not.

    Raises:
        InputUnreadable: it cannot be opened any more.
    """
    return not _looked_at(path, table, called=True).progressive


def may_be_woven(lines: int, fps: Fraction) -> bool:
    """Whether film has the size and the rate of a tape or a broadcast."""
    return (lines, fps) in _TAPES | _BROADCASTS


def unsaid_order(path: Path, table: PictureTable) -> str | None:
    """Which field came first, of film that says it is progressive and plainly is not.

    `tff` or `bff`, as libavfilter calls them; None for all other film.

    Raises:
        InputUnreadable: it cannot be opened any more.
    """
    return _looked_at(path, table, called=False).order


def _looked_at(path: Path, table: PictureTable, *, called: bool) -> _Seen:
    """What some stretches show, by pictures that are `called` interlaced or not; maybe nothing."""
    seen = _Seen()
    with open_cursor(path, table) as cursor:
        if cursor is None:
            return seen
        for first in _places(len(table.pts)):
            for before, here, after in _threes(cursor, range(first, len(table.pts))[:_RUN], called):
                seen.add(before, here, after)
            if not called and seen.lines >= _TALL and seen.even:
                break
    return seen


def _places(count: int) -> list[int]:
    """Where stretches begin, evenly spread."""
    room = max(0, count - _RUN)
    return sorted({room * (2 * n + 1) // (2 * _PLACES) for n in range(_PLACES)})


def _threes(cursor: Cursor, numbers: range, called: bool) -> Iterator[tuple[Luma, Luma, Luma]]:
    """Three pictures in a row, all of one size, whose middle one is `called` interlaced or not."""
    near: list[tuple[bool, Luma]] = []
    for number in numbers:
        frame = cursor.go(number)
        if frame is None:
            continue
        luma = laid_out(frame, "gray").to_ndarray()[:, ::_COLUMNS].astype(np.int16)
        near = [*near[-2:], (frame.interlaced_frame, luma)]
        if len(near) < 3 or near[1][0] is not called:
            continue
        if near[0][1].shape == near[1][1].shape == luma.shape:
            yield near[0][1], near[1][1], luma


class _Seen:
    """Adds up how far lines lie from those around them, wherever something moves."""

    def __init__(self) -> None:
        self._samples = 0
        self._own = 0
        self._other = [0, 0]
        """To the picture before and after: as were the upper field first, and the lower one."""
        self._pairs = [0, 0]
        """From each second line, and from the others, to the next line."""
        self.lines = 0
        """Of the pictures."""

    def add(self, before: Luma, here: Luma, after: Luma) -> None:
        """Take a picture with its neighbours, (H, W) each."""
        moved = np.abs(before - after)[1:-1] > _MOVED
        around = here[:-2] + here[2:]
        own, early, late = (
            np.where(moved, np.abs(around - 2 * lines[1:-1]), 0).sum(1, dtype=np.int64)
            for lines in (here, before, after)
        )
        steps = np.where(moved, np.abs(here[1:-1] - here[2:]), 0).sum(1, dtype=np.int64)
        self.lines = len(here)
        self._samples += int(moved.sum())
        self._own += int(own.sum())
        for n in range(2):
            self._other[n] += int(early[n::2].sum() + late[1 - n :: 2].sum())
            self._pairs[n] += int(steps[n::2].sum())

    @property
    def even(self) -> bool:
        """Whether enough moves, and no field is nearer to the picture before than the other."""
        return self._samples >= _ENOUGH and abs(self._share) < _EVEN

    @property
    def _share(self) -> float:
        upper, lower = self._other
        return log((upper + 1) / (lower + 1))

    @property
    def _doubled(self) -> bool:
        return max(self._pairs) > _DOUBLED * (min(self._pairs) + 1)

    @property
    def order(self) -> str | None:
        """Which field came first, where that is plain."""
        if self._samples < _ENOUGH or abs(self._share) < _WOVEN or self._doubled:
            return None
        return "tff" if self._share < 0 else "bff"

    @property
    def progressive(self) -> bool:
        """Whether it is plain that pictures show one moment each."""
        return self.even and min(self._other) > _SMOOTH * self._own
