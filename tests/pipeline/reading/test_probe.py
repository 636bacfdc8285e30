"""Probing: limits first, then facts that hold."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.reading.probe import probe_video
from pipeline.types import Color, Limits, VideoFacts
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip

MEDIA = Path(__file__).parents[4] / "shared" / "media"
NTSC = Fraction(30_000, 1001)


def probe(path: Path, limits: Limits | None = None, **options: object) -> VideoFacts:
    return probe_video(path, limits or Limits(), RenderOptions.model_validate(options))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.ts", "clip.flv"])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24_000, 1001), Fraction(25, 2)])
def test_constant_rate_is_exact_in_every_container(
    tmp_path: Path, name: str, fps: Fraction
) -> None:
    facts = probe(write_clip(tmp_path / name, Clip(fps=fps, frames=75)))
    assert (facts.fps, facts.frames, facts.variable_rate) == (fps, 75, False)


def test_jittering_time_stamps_still_count_as_a_constant_rate(tmp_path: Path) -> None:
    times = [Fraction(n, 30) + Fraction(n * 7 % 5, 500) for n in range(90)]
    facts = probe(write_clip(tmp_path / "jitter.mp4", Clip(frames=90, times=times)))
    assert (facts.fps, facts.frames, facts.variable_rate) == (Fraction(30), 90, False)


def test_variable_rate_becomes_its_average(tmp_path: Path) -> None:
    times = [Fraction(n, 30) + (Fraction(1) if n >= 15 else 0) for n in range(30)]
    facts = probe(write_clip(tmp_path / "vfr.mp4", Clip(frames=30, times=times)))
    assert facts.variable_rate
    assert abs(facts.duration - 2) < Fraction(1, 30)
    assert facts.frames == 30


@pytest.mark.parametrize(
    ("rotation", "size"), [(0, (192, 128)), (90, (192, 128)), (180, (192, 128)), (270, (192, 128))]
)
def test_size_is_that_of_the_upright_picture(
    tmp_path: Path, rotation: int, size: tuple[int, int]
) -> None:
    facts = probe(write_clip(tmp_path / "turned.mp4", Clip(frames=3, rotation=rotation)))
    assert (facts.width, facts.height) == size
    assert facts.rotation == rotation


def test_odd_sizes_are_cropped_to_even(tmp_path: Path) -> None:
    clip = Clip(width=641, height=359, frames=2, pix_fmt="yuv444p")
    facts = probe(write_clip(tmp_path / "odd.mp4", clip))
    assert (facts.width, facts.height) == (640, 358)
    assert facts.scale == 1.0


def test_max_height_scales_down_and_never_up(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(width=320, height=240, frames=2))
    small, same = probe(path, max_height=101), probe(path, max_height=480)
    assert (small.width, small.height) == (134, 100)
    assert (same.width, same.height) == (320, 240)
    assert (small.scale, same.scale) == (100 / 240, 1.0)


def test_max_height_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    clip = Clip(width=120, height=240, frames=2, rotation=90)
    facts = probe(write_clip(tmp_path / "phone.mp4", clip), max_height=120)
    assert (facts.width, facts.height) == (60, 120)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "wide.mp4", Clip(frames=2, aspect=Fraction(4, 3))))
    assert (facts.width, facts.height) == (256, 128)


def test_color_tags_are_copied(tmp_path: Path) -> None:
    clip = Clip(frames=2, color=(5, 2, 5, 6))
    facts = probe(write_clip(tmp_path / "pal.mp4", clip))
    assert (facts.color, facts.source) == (Color(5, True, 5, 6), None)


def test_tags_of_high_dynamic_range_are_those_of_the_source_alone(tmp_path: Path) -> None:
    clip = Clip(frames=2, color=(9, 2, 9, 16))
    facts = probe(write_clip(tmp_path / "pq.mp4", clip))
    assert (facts.color, facts.source) == (Color(1, False, 1, 1), Color(9, True, 9, 16))


@pytest.mark.parametrize(("height", "matrix"), [(480, 6), (720, 1)])
def test_missing_color_tags_follow_the_height(tmp_path: Path, height: int, matrix: int) -> None:
    facts = probe(write_clip(tmp_path / "clip.mp4", Clip(width=320, height=height, frames=1)))
    assert facts.color == Color(matrix, False, matrix, matrix)


@pytest.mark.parametrize("sound", [None, Tone(0.5)])
def test_the_reference_s_own_sound_is_noticed(tmp_path: Path, sound: Tone | None) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(frames=5, sound=sound))
    assert probe(path).has_audio is (sound is not None)


@pytest.mark.media
def test_a_real_clip_of_variable_rate() -> None:
    path = MEDIA / "v10_retalk1_700_vfr.mp4"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    facts = probe(path)
    assert (facts.fps, facts.frames, facts.variable_rate) == (Fraction(1350, 61), 135, True)
