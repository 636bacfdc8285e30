"""Pixels are compared outside the lower face, with the right frame of the reference."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from pipeline.evaluate.ledger import Figures
from pipeline.evaluate.matching import match
from pipeline.evaluate.pixels import Outside, kept_out, measure_pixels, psnr
from pipeline.quality.watch import Watched
from pipeline.timeline import Timeline
from pipeline.types import Frame
from schemas.request import Loop
from tests.pipeline.evaluate.puppets import evidence, watched
from tests.support.media import Clip, picture, write_clip

WIDE, HIGH = 480, 400


def frame(luma: torch.Tensor, index: int = 0) -> Frame:
    chroma = torch.full((HIGH // 2, WIDE // 2), 128, dtype=torch.uint8)
    return Frame(luma.to(torch.uint8), chroma, chroma, index)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    write_clip(path, Clip(width=WIDE, height=HIGH, frames=12))
    return watched(path, torch.full((12,), 0.1))


def test_error_inside_the_lower_face_does_not_count_and_outside_it_does(clip: Watched) -> None:
    flat = torch.full((HIGH, WIDE), 100)
    box = kept_out(clip.mouths, frame(flat))
    assert box is not None
    x0, y0, x1, y1 = box
    assert 0 <= x0 < x1 <= WIDE
    assert 0 <= y0 < y1 < HIGH
    painted = flat.clone()
    painted[y0:y1, x0:x1] = 200
    outside = Outside()
    outside.look(frame(painted), frame(flat), box)
    assert outside.psnr == 99.0
    painted[y1, x0] = 150
    outside.look(frame(painted), frame(flat), box)
    assert outside.psnr is not None
    assert outside.psnr < 99.0
    assert outside.worst == pytest.approx(2500 / (WIDE * HIGH - (x1 - x0) * (y1 - y0)))


def test_a_grey_level_everywhere_is_48_decibels() -> None:
    flat = torch.full((HIGH, WIDE), 100)
    outside = Outside()
    outside.look(frame(flat + 1), frame(flat), None)
    assert outside.psnr == pytest.approx(20 * math.log10(255), abs=1e-3)
    assert psnr(0.0) == 99.0


@pytest.mark.parametrize("loop", list(Loop))
def test_the_way_of_going_on_is_told_from_the_pictures(tmp_path: Path, loop: Loop) -> None:
    source = write_clip(tmp_path / "source.mp4", Clip(width=WIDE, height=HIGH, frames=12))
    line = Timeline(Fraction(25), 30, Fraction(25), 12, loop)
    shown = [line.source(n) for n in range(line.frames)]
    path = tmp_path / "out.mp4"
    write_numbers(path, shown)
    found, reason = match(
        watched(path, torch.full((30,), 0.1)), watched(source, torch.full((12,), 0.1))
    )
    assert reason == ""
    assert found is not None
    assert [found.source(n) for n in range(30)] == shown


def write_numbers(path: Path, numbers: list[int], negative: bool = False) -> None:
    """A clip of the pictures with these numbers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        for number in numbers:
            pixels = picture(number, WIDE, HIGH)
            drawn = av.VideoFrame.from_ndarray(255 - pixels if negative else pixels, "rgb24")
            container.mux(stream.encode(drawn))
        container.mux(stream.encode(None))


def test_another_picture_or_size_is_no_match(tmp_path: Path, clip: Watched) -> None:
    small = write_clip(tmp_path / "small.mp4", Clip(width=192, height=128, frames=3))
    line, reason = match(watched(small, torch.full((3,), 0.1)), clip)
    assert line is None
    assert "192x128" in reason
    other = tmp_path / "other.mp4"
    write_numbers(other, [0, 1, 2], negative=True)
    line, reason = match(watched(other, torch.full((3,), 0.1)), clip)
    assert line is None
    assert "not those of the reference" in reason
    assert match(clip, None) == (None, "needs --reference")


def test_without_a_reference_only_the_output_itself_is_measured(clip: Watched) -> None:
    figures = Figures()
    assert measure_pixels(evidence(clip), figures) is None
    assert set(figures.measures()) == {"sharpness", "flicker_mean"}
    assert figures.left_out()["outside_psnr_db"] == "needs --reference"


def test_the_same_clip_twice_has_ratios_of_one(clip: Watched) -> None:
    line = Timeline(clip.video.fps, 12, clip.video.fps, 12, Loop.PINGPONG)
    figures = Figures()
    outside = measure_pixels(evidence(clip, clip, line), figures)
    assert outside is not None
    assert outside.frames == 12
    value = {name: measure["value"] for name, measure in figures.measures().items()}
    assert value["sharpness_ratio"] == value["flicker_ratio"] == 1.0
    assert value["outside_psnr_db"] == 99.0
