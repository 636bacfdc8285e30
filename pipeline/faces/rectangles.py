"""Boxes of faces as plain numbers: what is decided about some of them is no work for a device.

An operator of torch takes the interpreter's lock, gives it up and waits for it again; with many
jobs in one process, those of a handful of numbers were most of what following a face cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Rect = tuple[float, float, float, float]
"""x0 y0 x1 y1, pixels of the frame."""
OVERLAP = 0.3
"""Boxes that share more than this of their union are one face."""


def rect(values: Sequence[float]) -> Rect:
    """The first four of some numbers."""
    x0, y0, x1, y1 = values[:4]
    return (x0, y0, x1, y1)


def area(box: Rect) -> float:
    """Pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def longer(box: Rect) -> float:
    """The longer side, pixels."""
    return max(box[2] - box[0], box[3] - box[1])


def middle(box: Rect) -> tuple[float, float]:
    """(x, y) of the centre."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def overlap(box: Rect, other: Rect) -> float:
    """Intersection over union."""
    wide = max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
    high = max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
    shared = wide * high
    return shared / max(area(box) + area(other) - shared, 1e-6)


def is_one(box: Rect, other: Rect) -> bool:
    """Boxes of one face, though one may be loose: much overlap, or each has the other's middle."""
    if overlap(box, other) > OVERLAP:
        return True
    return _inside(middle(box), other) and _inside(middle(other), box)


def closeness(box: Rect, last: Rect) -> float:
    """1 for the same place and size, falling with distance in face sizes and with the ratio."""
    size = max(longer(last), 1.0)
    ratio = max(longer(box), 1.0) / size
    distance = math.dist(middle(box), middle(last))
    return math.exp(-distance / size) * min(ratio, 1 / ratio)


def _inside(place: tuple[float, float], box: Rect) -> bool:
    return box[0] < place[0] < box[2] and box[1] < place[1] < box[3]
