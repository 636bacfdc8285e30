"""The size in which a reference is delivered: upright, of square pixels, even."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

from pipeline.reading.orientation import Orientation

Size = tuple[int, int]
"""Width and height, pixels."""


def delivered_size(
    coded: Size, aspect: Fraction, orientation: Orientation, max_height: int | None
) -> Size:
    """Upright, with square pixels, scaled down, cropped to even.

    Args:
        aspect: of its pixels; one that no screen has is not heeded.
    """
    wide, lines = Fraction(coded[0]), Fraction(coded[1])
    if Fraction(1, 4) <= aspect <= 4 and aspect != 1:
        wide *= aspect
    width, height = (lines, wide) if orientation.transpose else (wide, lines)
    if max_height is not None and height > max_height:
        width, height = width * max_height / height, Fraction(max_height)
    return _even(width), _even(height)


def within(width: int, height: int, most: int) -> Size:
    """The size, or the largest of the same shape that has no more than `most` pixels."""
    share = min(1.0, sqrt(most / (width * height)))
    return _even(Fraction(width * share)), _even(Fraction(height * share))


def _even(side: Fraction) -> int:
    return max(2, int(side) // 2 * 2)
