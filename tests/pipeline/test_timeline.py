"""What a report says of the clock of an output."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.render import render
from pipeline.timeline import Timeline, rate_warnings
from pipeline.types import RenderSpec
from schemas.request import RenderOptions
from tests.support.media import Tone, write_sound

VIDEO = Path(__file__).parents[2] / "consumer" / "demo_assets" / "reference.mp4"


@pytest.mark.parametrize(
    ("fps", "warned"),
    [(5, True), (14, True), (Fraction(15_000, 1001), False), (15, False), (25, False)],
)
def test_a_rate_that_is_too_slow_for_lips_is_said(fps: Fraction, warned: bool) -> None:
    warnings = rate_warnings(Timeline.fit(Fraction(4), Fraction(fps), 20))
    assert [f"has {fps} frames a second" in text for text in warnings] == [True] * warned


def test_a_slow_output_says_so_in_its_report(tmp_path: Path) -> None:
    speech = write_sound(tmp_path / "speech.wav", Tone(0.4, codec="pcm_s16le", rate=16_000))
    spec = RenderSpec(
        audio=speech,
        video=VIDEO,
        output=tmp_path / "out.mp4",
        scratch=tmp_path,
        options=RenderOptions(fps=10),
    )
    assert any("options.fps" in text for text in render(spec, lambda _: None).warnings)
