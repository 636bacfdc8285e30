"""The visible label: a text in a corner of every frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from pipeline.mark.fonts import Font, resized, typeset
from pipeline.types import Frame
from schemas.request import LabelOptions

_SHADE = 0.45
"""Share of the dark ground under the text."""
_BASELINE = "ls"
_LEAST_PX = 8
"""Letters are made smaller down to this where the text is longer than the picture is wide."""
_BLACK, _WHITE, _GREY = 16.0, 235.0, 128.0


class VisibleLabel:
    """A text drawn once and laid over every frame; only its own box changes.

    Laying it is one weighted sum in whole numbers for each plane's box: what is below counts with
    a weight, and what comes on top was multiplied by its own beforehand.

    Args:
        x: left edge in luma pixels, even.
        y: top edge in luma pixels, even.
        ink: (h, w) 0..1, white text; both sides even.
    """

    def __init__(self, x: int, y: int, ink: NDArray[np.float32]) -> None:
        self.x, self.y = x, y
        self.height, self.width = ink.shape
        below = (1 - _SHADE) * (1 - ink)
        above = _SHADE * _BLACK * (1 - ink) + _WHITE * ink
        self._luma = _Overlay(below, above)
        half = np.full((self.height // 2, self.width // 2), 1 - _SHADE)
        self._chroma = _Overlay(half, _GREY * (1 - half))

    @classmethod
    def draw(cls, options: LabelOptions, width: int, height: int) -> VisibleLabel:
        """Draw for a picture of width × height; the text is at least 12 px and 3 % high.

        It is less high, down to 8 px, where it would be wider than the picture.

        Raises:
            LabelUnfit: see `pipeline.mark.fonts`.
        """
        size = max(12, round(height * 0.03))
        line = typeset(options.text, size)
        while size > _LEAST_PX and _length(line) > width - 2 * size:
            size -= 1
            line = resized(line, size)
        left, top, right, bottom = _extent(line)
        pad = size // 2
        w = min(_even(int(right - left) + 2 * pad), width // 2 * 2)
        h = min(_even(int(bottom - top) + pad), height // 2 * 2)
        canvas = Image.new("L", (w, h), 0)
        pen, x, y = ImageDraw.Draw(canvas), pad - left, pad // 2 - top
        for text, font in line:
            pen.text((x, y), text, fill=255, font=font, anchor=_BASELINE)
            x += font.getlength(text)
        ink = np.asarray(canvas, dtype=np.float32) / 255.0
        margin = _even(size // 2)
        x = margin if options.position.endswith("left") else width - w - margin
        y = margin if options.position.startswith("top") else height - h - margin
        return cls(_inside(x, w, width), _inside(y, h, height), ink)

    def apply(self, frame: Frame) -> Frame:
        """The frame with the label; planes are copied, the input stays as it was."""
        top, left = self.y // 2, self.x // 2
        return Frame(
            self._luma.over(frame.y, self.y, self.x),
            self._chroma.over(frame.u, top, left),
            self._chroma.over(frame.v, top, left),
            frame.index,
        )


class _Overlay:
    """What lies over a box of a plane, in 1/256 of a level."""

    def __init__(self, below: NDArray[Any], above: NDArray[Any]) -> None:
        self._below = np.rint(below * 256).astype(np.uint16)
        self._above = np.rint(above * 256 + 128).astype(np.uint16)  # half a level, for rounding

    def over(self, plane: Tensor, top: int, left: int) -> Tensor:
        """A copy of an (H, W) uint8 plane, its box at (top, left) covered."""
        made = plane.clone()
        height, width = self._below.shape
        box: NDArray[np.uint8] = made.numpy()[top : top + height, left : left + width]
        mixed = box * self._below  # at most 141 * 255, 16 bits hold it with what is added
        mixed += self._above
        mixed >>= 8
        box[...] = mixed
        return made


def _length(line: list[tuple[str, Font]]) -> float:
    return sum(font.getlength(text) for text, font in line)


def _extent(line: list[tuple[str, Font]]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the ink, from where the base line begins."""
    boxes, start = [], 0.0
    for text, font in line:
        left, top, right, bottom = font.getbbox(text, anchor=_BASELINE)
        boxes.append((start + left, top, start + right, bottom))
        start += font.getlength(text)
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _inside(at: int, long: int, room: int) -> int:
    """The even place nearest to `at` from which `long` pixels end within `room`."""
    return max(0, min(at, room - long)) // 2 * 2


def _even(n: int) -> int:
    return n + (n & 1)
