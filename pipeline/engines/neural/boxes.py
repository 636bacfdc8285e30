"""Face boxes in whole pixels, the square that a soft mask lives in, and how boxes are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from pipeline.avatars.parts import Parts, Unfit
from pipeline.planes import Window

EXPAND = 1.5
"""Side of the blending square over the longer side of the box."""
MIN_SIDE = 8
"""A box with a shorter side inside the picture cannot be cut out, px."""


class Box(NamedTuple):
    """Half-open rectangle, whole pixels; may reach over the picture's edge."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def clamped(self, height: int, width: int) -> Box:
        """The part inside a picture."""
        return Box(
            min(max(self.x0, 0), width),
            min(max(self.y0, 0), height),
            min(max(self.x1, 0), width),
            min(max(self.y1, 0), height),
        )

    def window(self) -> Window:
        """The same rectangle of a box that lies inside its picture."""
        return Window(self.x0, self.y0, self.x1, self.y1)

    def usable(self) -> bool:
        """True when there is enough of it to be cut out."""
        return self.width >= MIN_SIDE and self.height >= MIN_SIDE


def blend_square(box: Box) -> Box:
    """The square around a box in which its mask lives; may reach over the picture's edge."""
    x0, y0, x1, y1 = box
    x, y = (x0 + x1) // 2, (y0 + y1) // 2
    half = int(max(x1 - x0, y1 - y0) // 2 * EXPAND)
    return Box(x - half, y - half, x + half, y + half)


def box_parts(boxes: Mapping[int, Box]) -> Parts:
    """Boxes by grid frame, for keeping."""
    edges = [[box.x0, box.y0, box.x1, box.y1] for box in boxes.values()]
    return Parts(
        {
            "frames": torch.tensor(list(boxes), dtype=torch.int64),
            "edges": torch.tensor(edges, dtype=torch.int64),
        }
    )


def boxes_of(parts: Parts, frames: int, height: int, width: int) -> dict[int, Box]:
    """Boxes by grid frame from the parts that `box_parts` made.

    Raises:
        Unfit: they are not boxes inside such a picture, of frames of such a track.
    """
    if not {"frames", "edges"} <= parts.tensors.keys():
        raise Unfit("no boxes")
    index, edges = parts.tensors["frames"].tolist(), parts.tensors["edges"].tolist()
    if len(index) != len(edges) or any(len(each) != 4 for each in edges):
        raise Unfit("boxes of another shape")
    for n, (x0, y0, x1, y1) in zip(index, edges, strict=True):
        inside = 0 <= x0 <= x1 - MIN_SIDE and x1 <= width and 0 <= y0 <= y1 - MIN_SIDE
        if not inside or y1 > height or not 0 <= n < frames:
            box = Box(x0, y0, x1, y1)
            raise Unfit(f"frame {n}: {box} is none of {frames} pictures of {width}x{height}")
    return {n: Box(*each) for n, each in zip(index, edges, strict=True)}
