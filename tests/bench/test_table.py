"""The table that `make bench-quality` writes, and what it says about the one before."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.quality.watch import LIMITS
from pipeline.reading.audio import load_speech
from pipeline.reading.probe import probe_video
from schemas.request import RenderOptions
from tests.bench.pairs import joined, listed, sound
from tests.bench.table import BEGIN, COLUMNS, END, compare, draw, put, read, verdict
from tests.support.media import Clip, Tone, write_clip

ROWS = {
    ("v1", "en"): {"clip": "v1", "speech": "en", "mode": "unit", "r": "0.9", "accel.": "1.2"},
    ("v2", "en"): {"clip": "v2", "speech": "en", "mode": "unit", "r": "0.8"},
}


def test_a_table_is_read_back_as_it_was_written() -> None:
    text = put(f"before\n{BEGIN}\nold\n{END}\nafter\n", draw(ROWS))
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    again = read(text)
    assert list(again) == list(ROWS)
    assert again["v1", "en"]["accel."] == "1.2"
    assert again["v2", "en"]["accel."] == ""
    assert "| **mean** |" in text
    assert put(text, draw(ROWS)) == text


def test_without_markers_nothing_is_written() -> None:
    with pytest.raises(ValueError, match="quality"):
        put("no markers", [])
    assert read("no markers") == {}


def test_only_rows_that_both_tables_have_are_compared() -> None:
    now = {("v1", "en"): ROWS["v1", "en"] | {"r": "0.95"}, ("v3", "en"): {"r": "0.1"}}
    assert compare(ROWS, now) == [
        "r: 0.9 → 0.95 over 1 rows, better",
        "accel.: 1.2 → 1.2 over 1 rows, the same",
    ]
    assert compare({}, now) == []


def test_each_direction_is_judged_from_its_own_side() -> None:
    assert verdict("higher", 0.9, 0.95) == "better"
    assert verdict("lower", 0.9, 0.95) == "worse"
    assert verdict("near 0", -20, 10) == "better"
    assert verdict("near 0", 5, -10) == "worse"
    assert verdict("higher", 0.95, 0.951) == "the same"
    assert len({column.title for column in COLUMNS}) == len(COLUMNS)


def test_pairs_are_listed_beside_their_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("a/clip.mp4 speech.wav\nb.mp4 own>  # a remark\n# nothing\n\n")
    first, second = listed(path)
    assert (first.clip, first.speech) == (tmp_path / "a/clip.mp4", tmp_path / "speech.wav")
    assert (second.speech, second.key) == ("own>", ("b", "own>"))


def test_stretches_of_a_clip_are_joined_to_the_frame(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", Clip(frames=48, sound=Tone(2.0, rate=48000)))
    halves = [(0.96, 1.92), (0.0, 0.96)]
    whole = joined(clip, tmp_path / "b.mov", halves, halves[:1])
    facts = probe_video(whole, LIMITS, RenderOptions())
    assert facts.frames == 48
    assert facts.fps == Fraction(25)
    assert abs(float(load_speech(whole, LIMITS).duration) - 0.96) < 1e-3
    assert sound(clip, tmp_path / "c.wav", halves).stat().st_size == 44 + 2 * round(1.92 * 16000)
    assert (
        probe_video(
            joined(clip, tmp_path / "d.mov", halves[:1], halves[:1]), LIMITS, RenderOptions()
        ).frames
        == 24
    )
