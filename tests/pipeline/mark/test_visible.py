"""The visible label changes its own box and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from PIL import features

from pipeline.errors import LabelUnfit
from pipeline.mark import fonts
from pipeline.mark.visible import VisibleLabel
from pipeline.types import Frame
from schemas.request import LabelOptions


def _frame(width: int = 320, height: int = 240) -> Frame:
    y = torch.full((height, width), 128, dtype=torch.uint8)
    u = torch.full((height // 2, width // 2), 90, dtype=torch.uint8)
    return Frame(y, u, u.clone(), 0)


@pytest.mark.parametrize("position", ["top-left", "top-right", "bottom-left", "bottom-right"])
def test_label_lies_in_its_corner_and_touches_no_pixel_elsewhere(position: str) -> None:
    frame = _frame()
    options = LabelOptions.model_validate({"text": "AI generated", "position": position})
    label = VisibleLabel.draw(options, frame.width, frame.height)
    made = label.apply(frame)
    h, w = label.height, label.width
    changed = (made.y != frame.y).nonzero()
    assert len(changed) > 50
    assert changed[:, 0].min() >= label.y
    assert changed[:, 0].max() < label.y + h
    assert changed[:, 1].min() >= label.x
    assert changed[:, 1].max() < label.x + w
    assert (label.y < frame.height // 2) == position.startswith("top")
    assert (label.x < frame.width // 2) == position.endswith("left")
    assert bool((frame.y == 128).all())


def test_label_is_readable_white_on_dark() -> None:
    label = VisibleLabel.draw(LabelOptions(text="AI"), 640, 480)
    made = label.apply(_frame(640, 480))
    assert int(made.y.max()) > 220
    assert int(made.y.min()) < 100


@pytest.mark.parametrize("size", [(16, 16), (64, 2), (2, 64)])
def test_label_fits_pictures_smaller_than_itself(size: tuple[int, int]) -> None:
    frame = _frame(*size)
    made = VisibleLabel.draw(LabelOptions(text="A long label text"), *size).apply(frame)
    assert made.y.shape == frame.y.shape


@pytest.mark.parametrize("position", ["top-left", "top-right", "bottom-left", "bottom-right"])
@pytest.mark.parametrize("size", [(240, 360), (64, 64), (16, 16), (2, 2)])
def test_label_as_wide_as_the_picture_lies_inside_it_in_every_corner(
    size: tuple[int, int], position: str
) -> None:
    frame = _frame(*size)
    asked = LabelOptions.model_validate({"text": "W" * 40, "position": position})
    label = VisibleLabel.draw(asked, *size)
    assert label.x + label.width <= frame.width
    assert label.y + label.height <= frame.height
    made = label.apply(frame)
    assert made.y.shape == frame.y.shape
    assert not torch.equal(made.y, frame.y)


def test_label_mixes_to_within_a_level_of_exact_arithmetic() -> None:
    frame = _frame()
    values = torch.arange(frame.y.numel()).remainder(256).to(torch.uint8)
    frame = Frame(values.view(frame.y.shape), frame.u, frame.v, 0)
    label = VisibleLabel.draw(LabelOptions(text="AI"), frame.width, frame.height)
    made = label.apply(frame)
    box = (slice(label.y, label.y + 2), slice(label.x, label.x + label.width))  # no ink there
    exact = frame.y[box].double() * 0.55 + 16 * 0.45
    assert float((made.y[box] - exact).abs().max()) <= 1.0
    assert int(made.u[label.y // 2, label.x // 2]) == round(90 * 0.55 + 128 * 0.45)
    assert bool((made.y != made.y.flatten()[0]).any())


@pytest.mark.parametrize("text", ["由人工智能生成", "مولد آليا", "AI 🤖", "\u200b ", "   "])
def test_text_that_no_font_here_has_is_refused_instead_of_drawn_as_boxes(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "SYSTEM_FONTS", ())
    with pytest.raises(LabelUnfit, match="label text") as refused:
        fonts.check_label(LabelOptions(text=text))
    assert refused.value.error_facts().code == "INVALID_REQUEST"
    fonts.check_label(LabelOptions(text=text, visible=False))


@pytest.mark.parametrize("unseen", ["\u200b", "\u202e", "\ufeff", "\u2060", "\ufe0f", "\u034f"])
def test_characters_that_show_nothing_are_not_drawn_as_boxes(unseen: str) -> None:
    plain, other = (
        VisibleLabel.draw(LabelOptions(text=text), 640, 360).apply(_frame(640, 360)).y
        for text in ("AI made", f"A{unseen}I made")
    )
    assert torch.equal(plain, other)


def test_a_mark_that_the_first_font_lacks_comes_with_its_letter_from_one_that_has_it() -> None:
    text = "A\u0489I"
    whole = [font for font in fonts._fonts(24) if not fonts._missing(font, ["A", "I", "\u0489"])]
    if not whole:
        pytest.skip("no font of this machine has the mark")
    assert [(run, font.path) for run, font in fonts.typeset(text, 24)] == [(text, whole[0].path)]


def test_letters_that_one_font_lacks_come_from_the_next_which_has_them() -> None:
    text = "AI: создано"
    try:
        line = fonts.typeset(text, 20)
    except LabelUnfit:
        pytest.skip("no font of this machine has Cyrillic letters")
    assert "".join(part for part, _ in line) == text
    assert {font.getname() for _, font in line} != {fonts.typeset("AI", 20)[0][1].getname()}
    drawn = VisibleLabel.draw(LabelOptions(text=text), 640, 480)
    assert drawn.width > VisibleLabel.draw(LabelOptions(text="AI"), 640, 480).width


def test_text_that_no_font_has_whole_is_cut_where_fonts_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking(font: fonts.Font, letters: list[str]) -> list[str]:
        return [c for c in letters if font.size < 40 and (c in "xyz") == (font.size == 20)]

    found = [next(fonts._fonts(size)) for size in (20, 30, 40)]  # a late one has all of it
    monkeypatch.setattr(fonts, "_fonts", lambda _: iter(found))
    monkeypatch.setattr(fonts, "_missing", lacking)
    line = fonts.typeset(" ab xy c", 20)
    assert [(part, font.size) for part, font in line] == [(" ab ", 20), ("xy ", 30), ("c", 20)]


@pytest.mark.parametrize(
    "text", ["made by\nAI", "made by\r\nAI", "made\tby\u2028AI", "made\x07 by AI"]
)
def test_a_text_of_several_lines_is_drawn_whole_in_one(text: str) -> None:
    """A law may ask for every word of it; a font draws one line, and a box for a tabulator."""
    one, many = (
        VisibleLabel.draw(LabelOptions(text=words), 640, 480) for words in ("made by AI", text)
    )
    assert (many.width, many.height) == (one.width, one.height)
    assert "".join(part for part, _ in fonts.typeset(text, 20)) == "made by AI"


@pytest.mark.parametrize("text", ["אב AI", "سلام", "एआई"])
def test_text_that_would_come_out_in_pieces_or_backwards_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "raqm")
    with pytest.raises(LabelUnfit, match="libfribidi0"):
        fonts.check_label(LabelOptions(text=text, visible=True))
    fonts.check_label(LabelOptions(text="AI generated", visible=True))


def test_a_line_from_right_to_left_begins_on_its_right_where_fonts_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking(font: fonts.Font, letters: list[str]) -> list[str]:
        return [c for c in letters if c.isascii() == (font.size == 30)]

    twenty, thirty = (next(fonts._fonts(size)) for size in (20, 30))
    monkeypatch.setattr(fonts, "_fonts", lambda _: iter([twenty, thirty]))
    monkeypatch.setattr(fonts, "_missing", lacking)
    monkeypatch.setattr(features, "check", lambda _: True)
    assert [part for part, _ in fonts.typeset("אב AI", 20)] == ["AI", "אב "]
    assert [part for part, _ in fonts.typeset("AI אב", 20)] == ["AI ", "אב"]


def test_text_longer_than_the_picture_is_wide_is_written_smaller_in_the_fonts_once_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    found = fonts._fonts

    def look_for(size: int) -> Iterator[fonts.Font]:
        sizes.append(size)
        return found(size)

    monkeypatch.setattr(fonts, "_fonts", look_for)
    label = VisibleLabel.draw(LabelOptions(text="W" * 40), 480, 1080)
    assert sizes == [32]
    made = label.apply(_frame(480, 1080)).y
    assert label.width < 480
    assert int(made[:, label.x + label.width - 4 :].max()) <= 128, "nothing white at the edge"
