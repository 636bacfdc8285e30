"""How large the region is in which a reference's mouth is painted."""

from __future__ import annotations

from pipeline.engines.viseme.canvas import Box, Canvas
from pipeline.engines.viseme.features import LEFT, RIGHT
from pipeline.engines.viseme.heads import Heads
from pipeline.engines.viseme.points import JAW, NOSE_BASE, places

MARGIN = 0.28
"""Of the region around the chin, the jaw and the base of the nose, io."""
LARGEST = 2.4
"""Of the region's sides, io."""
BOX_WIDTH, BOX_HEIGHT = 1.05, 0.72
"""Of the box around the lips, io."""


def region_of(heads: Heads, device: str) -> Canvas:
    """The region that holds the lower face of all heads, its boxes around the lips and the face."""
    points = heads.project(heads.shape)
    middle = (points[:, LEFT] + points[:, RIGHT]) / 2
    need = points[:, places(NOSE_BASE, JAW[1:-1])] - middle[:, None]
    io = float(heads.scale.median())
    margin, most = MARGIN * io, LARGEST * io / 2
    low = (-need.amin(1)).quantile(0.98, dim=0) + margin
    high = need.amax(1).quantile(0.98, dim=0) + margin
    left, top = (min(float(side), most) for side in low)
    right, bottom = (min(float(side), most) for side in high)
    # The box must lie inside the region, and lips may rise above the base of the nose's margin.
    left, right = max(left, 0.6 * io), max(right, 0.6 * io)
    top, bottom = max(top, 0.45 * io), max(bottom, 0.5 * io)
    width, height = _multiple(left + right), _multiple(top + bottom)
    x, y = _even(left + (width - left - right) / 2), _even(top + (height - top - bottom) / 2)
    box_w, box_h = _even(BOX_WIDTH * io), _even(BOX_HEIGHT * io)
    box_x, box_y = _even(x - box_w / 2), _even(y - box_h * 0.45)
    box_x, box_y = max(0, box_x), max(0, box_y)
    lips = Box(box_x, box_y, min(box_w, width - box_x), min(box_h, height - box_y))
    trim = _even(0.9 * margin)
    face = Box(
        max(0, x - _even(left)) + trim,
        max(0, y - _even(top)) + trim,
        _even(left + right) - 2 * trim,
        _even(top + bottom) - 2 * trim,
    )
    return Canvas.make((width, height), (x, y), io, lips, face, device)


def _multiple(size: float) -> int:
    return -(-int(size) // 16) * 16


def _even(at: float) -> int:
    return round(at / 2) * 2
