"""The visible label: a text in a corner of every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pipeline.types import Frame
from schemas.request import LabelOptions


@dataclass(frozen=True, slots=True)
class VisibleLabel:
    """A text drawn once and laid over every frame; only its own box changes."""

    x: int
    """Left edge in luma pixels, even."""
    y: int
    """Top edge in luma pixels, even."""
    ink: Tensor
    """(h, w) float32 0..1: white text."""
    shade: Tensor
    """(h, w) float32 0..1: dark ground under it."""

    @classmethod
    def draw(cls, options: LabelOptions, width: int, height: int) -> VisibleLabel:
        """Draw for a picture of width × height; the text is at least 12 px and 3 % high."""
        size = max(12, round(height * 0.03))
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(options.text)
        pad = size // 2
        w = min(_even(int(right - left) + 2 * pad), width // 2 * 2)
        h = min(_even(int(bottom - top) + pad), height // 2 * 2)
        canvas = Image.new("L", (w, h), 0)
        ImageDraw.Draw(canvas).text((pad - left, pad // 2 - top), options.text, fill=255, font=font)
        ink = torch.from_numpy(np.asarray(canvas, dtype=np.float32) / 255.0)
        margin = _even(size // 2)
        x = margin if options.position.endswith("left") else width - w - margin
        y = margin if options.position.startswith("top") else height - h - margin
        return cls(max(0, x // 2 * 2), max(0, y // 2 * 2), ink, torch.full((h, w), 0.45))

    def apply(self, frame: Frame) -> Frame:
        """The frame with the label; planes are copied, the input stays as it was."""
        h, w = self.ink.shape
        luma, u, v = frame.y.clone(), frame.u.clone(), frame.v.clone()
        box = luma[self.y : self.y + h, self.x : self.x + w]
        ground = box.float() * (1 - self.shade) + 16.0 * self.shade
        box.copy_((ground * (1 - self.ink) + 235.0 * self.ink).round().to(torch.uint8))
        for plane in (u, v):
            part = plane[self.y // 2 : (self.y + h) // 2, self.x // 2 : (self.x + w) // 2]
            part.copy_((part.float() * 0.55 + 128.0 * 0.45).round().to(torch.uint8))
        return Frame(luma, u, v, frame.index)


def _even(n: int) -> int:
    return n + (n & 1)
