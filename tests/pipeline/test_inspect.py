"""A contact sheet shows what was asked and what came."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipeline.inspect import MAX_STRIPS, STRIP_S, draw_sheet, stretches
from pipeline.quality.measure import measure
from pipeline.quality.sheet import ACROSS, SIDE, WIDTH, Strip, Tile, draw
from pipeline.speech.phones import PhoneSpan

ASSETS = Path(__file__).parents[2] / "consumer" / "demo_assets"


def strip(start: float, requested: torch.Tensor | None) -> Strip:
    measured = torch.linspace(0, 0.2, 250)
    measured[100:120] = float("nan")
    return Strip(
        start=start,
        end=start + 10,
        samples=torch.zeros(160_000),
        phones=[PhoneSpan("M", 1.0, 1.2), PhoneSpan("AA", 9.9, 12.0)],
        requested=requested,
        measured=measured,
        fps=float(Fraction(25)),
        top=0.2,
    )


def colors(sheet: Image.Image) -> set[tuple[int, ...]]:
    found = sheet.getcolors(1 << 24)
    assert found is not None
    return {color for _, color in found if isinstance(color, tuple)}


def test_what_was_asked_is_blue_and_what_came_is_red() -> None:
    both = colors(draw(["a"], [], [strip(0, torch.full((250,), 0.1))]))
    seen = colors(draw(["a"], [], [strip(0, None)]))
    assert both - seen >= {(35, 90, 200)}
    assert (200, 45, 35) in seen


def test_rows_are_cut_and_the_sheet_grows_with_what_is_on_it() -> None:
    tile = Tile(Image.new("RGB", (SIDE, SIDE), "black"), "0.00 s")
    few = draw(["a"], [("row", [tile])], [])
    many = draw(["a"], [("row", [tile] * (3 * ACROSS)), ("none", [])], [])
    more = draw(["a"], [("row", [tile])] * 2, [strip(0, None), strip(10, None)])
    assert few.size == many.size
    assert few.width == WIDTH
    assert more.height > few.height


@pytest.mark.slow
@pytest.mark.usefixtures("face_models")
def test_a_sheet_is_drawn_with_and_without_speech(tmp_path: Path) -> None:
    spoken, mute = tmp_path / "spoken.png", tmp_path / "mute.png"
    speaking = measure(ASSETS / "reference.mp4", audio=ASSETS / "speech.flac")
    assert speaking.figures["closures"] > 0
    silent = measure(ASSETS / "reference.mp4")
    assert "closures" not in silent.figures
    draw_sheet(speaking, spoken)
    draw_sheet(silent, mute)
    with Image.open(spoken) as a, Image.open(mute) as b:
        assert a.format == b.format == "PNG"
        assert a.height > b.height + 100


def test_strips_cover_a_video_and_a_long_one_is_shown_in_parts() -> None:
    for total in (0.04, 0.6, 9.9, 10.03, 20.03, 47.0, 60.0):
        spans = stretches(total)
        assert spans[0][0] == 0
        assert abs(spans[-1][1] - max(0.5, total)) < 1e-6
        assert all(abs(a[1] - b[0]) < 1e-6 for a, b in itertools.pairwise(spans))
        assert all(end - start <= 1.1 * STRIP_S for start, end in spans)
    spread = stretches(1800.0)
    assert len(spread) == MAX_STRIPS
    assert spread[-1] == (1790.0, 1800.0)
