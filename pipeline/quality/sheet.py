"""Drawing a contact sheet: rows of mouths, and curves with waveform and phones below."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pipeline.speech.phones import SILENCE, PhoneSpan

WIDTH = 1600
SIDE = 110
"""Pixels of one mouth."""
ACROSS = 14
Scale = Callable[[float], float]
"""Seconds to a column of the sheet."""
_PAD, _CAPTION, _HEAD = 8, 16, 20
_PLOT, _WAVE, _PHONES = 120, 34, 18
_INK, _PALE, _GRID = (25, 25, 25), (150, 150, 150), (225, 225, 225)
_ASKED, _SEEN, _SOUND = (35, 90, 200), (200, 45, 35), (150, 170, 150)
GOOD, BAD, PLAIN = (40, 150, 60), (210, 40, 40), (190, 190, 190)


@dataclass(frozen=True, slots=True)
class Tile:
    """One mouth with a caption."""

    picture: Image.Image
    caption: str
    color: tuple[int, int, int] = PLAIN


@dataclass(frozen=True, slots=True)
class Strip:
    """What is drawn over one stretch of time."""

    start: float
    """Seconds."""
    end: float
    samples: Tensor
    """(N,) of the whole speech at 16 kHz."""
    phones: Sequence[PhoneSpan]
    requested: Tensor | None
    """(F,) io."""
    measured: Tensor
    """(F,) io, NaN where nothing was measured."""
    fps: float
    top: float
    """Aperture at the upper edge, io."""


def draw(title: list[str], rows: list[tuple[str, list[Tile]]], strips: list[Strip]) -> Image.Image:
    """The whole sheet.

    Args:
        title: lines of text.
        strips: one plot each.
    """
    rows = [(name, tiles[:ACROSS]) for name, tiles in rows if tiles]
    height = _PAD + len(title) * _CAPTION + _PAD
    height += len(rows) * (_HEAD + SIDE + _CAPTION) + len(strips) * _strip_height() + _PAD
    sheet = Image.new("RGB", (WIDTH, height), "white")
    pen, y = ImageDraw.Draw(sheet), _PAD
    for line in title:
        pen.text((_PAD, y), line, fill=_INK, font=_font(13))
        y += _CAPTION
    y += _PAD
    for name, tiles in rows:
        y = _draw_row(sheet, pen, y, name, tiles)
    for strip in strips:
        y = _draw_strip(pen, y, strip)
    return sheet


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _draw_row(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, y: int, name: str, tiles: list[Tile]
) -> int:
    pen.text((_PAD, y + 3), name, fill=_INK, font=_font(12))
    y += _HEAD
    step = (WIDTH - 2 * _PAD) / ACROSS
    for n, tile in enumerate(tiles):
        x = int(_PAD + n * step)
        sheet.paste(tile.picture, (x, y))
        pen.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), outline=tile.color, width=2)
        pen.text((x + 2, y + SIDE + 1), tile.caption, fill=_INK, font=_font(11))
    return y + SIDE + _CAPTION


def _strip_height() -> int:
    return _PAD + _WAVE + _PHONES + _PLOT


def _draw_strip(pen: ImageDraw.ImageDraw, y: int, strip: Strip) -> int:
    y += _PAD
    scale = (WIDTH - 2 * _PAD) / (strip.end - strip.start)

    def at(seconds: float) -> float:
        return _PAD + (seconds - strip.start) * scale

    _draw_wave(pen, y, strip)
    _draw_phones(pen, y + _WAVE, strip, at)
    y += _WAVE + _PHONES
    bottom = y + _PLOT - 14
    for second in range(math.ceil(strip.start), math.floor(strip.end) + 1):
        pen.line((at(second), y, at(second), bottom), fill=_GRID)
        pen.text((at(second) + 2, bottom), f"{second} s", fill=_PALE, font=_font(10))
    pen.line((_PAD, bottom, WIDTH - _PAD, bottom), fill=_GRID)
    for curve, color in ((strip.requested, _ASKED), (strip.measured, _SEEN)):
        if curve is not None:
            _draw_curve(pen, (y, bottom), strip, curve, color, at)
    return y + _PLOT


def _draw_wave(pen: ImageDraw.ImageDraw, y: int, strip: Strip) -> None:
    middle, columns = y + _WAVE // 2, WIDTH - 2 * _PAD
    edges = torch.linspace(strip.start * 16_000, strip.end * 16_000, columns + 1).long().tolist()
    for x, (first, last) in enumerate(itertools.pairwise(edges)):
        piece = strip.samples[first:last]
        if piece.numel():
            half = min(1.0, float(piece.abs().max())) * _WAVE / 2
            pen.line((_PAD + x, middle - half, _PAD + x, middle + half), fill=_SOUND)


def _draw_phones(
    pen: ImageDraw.ImageDraw, y: int, strip: Strip, at: Callable[[float], float]
) -> None:
    for span in strip.phones:
        if span.end <= strip.start or span.start >= strip.end or span.name == SILENCE:
            continue
        x = max(_PAD, at(span.start))
        pen.line((x, y, x, y + _PHONES - 2), fill=_PALE)
        pen.text((x + 2, y + 2), span.name, fill=_INK, font=_font(10))


def _draw_curve(
    pen: ImageDraw.ImageDraw,
    edges: tuple[int, int],
    strip: Strip,
    curve: Tensor,
    color: tuple[int, int, int],
    at: Scale,
) -> None:
    top, bottom = edges
    first = max(0, math.floor(strip.start * strip.fps))
    last = min(len(curve), math.ceil(strip.end * strip.fps) + 1)
    before: tuple[float, float] | None = None
    for n in range(first, last):
        value = float(curve[n])
        if not math.isfinite(value):
            before = None
            continue
        here = (at((n + 0.5) / strip.fps), bottom - min(1.0, value / strip.top) * (bottom - top))
        if before is not None:
            pen.line((*before, *here), fill=color, width=2)
        before = here
