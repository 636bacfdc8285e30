"""Fields that HEVC codes as pictures of their own become pictures of their whole height."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.pipeline.reading.calls import facts, numbers, read
from tests.support.media import picture

WIDTH, HEIGHT, PICTURES = 384, 160, 20


def _encoded(path: Path, drawn: list[np.ndarray], rate: int) -> Path:
    """HEVC that calls its pictures fields, the upper one first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = drawn[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "8", "x265-params": "interlace=tff:log-level=none:pools=none"}
        for number, rgb in enumerate(drawn):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def _as_fields() -> list[np.ndarray]:
    """Two moments of each picture, which both have its number; every other line of each."""
    made = []
    for number in range(PICTURES):
        for parity in range(2):
            rgb = picture(2 * number + parity, WIDTH, HEIGHT)
            rgb[:16] = np.repeat(picture(number, WIDTH, HEIGHT)[:8], 2, axis=0)
            made.append(rgb[parity::2])
    return made


@pytest.mark.parametrize("name", ["fields.mp4", "fields.ts"])
def test_the_first_field_of_each_two_is_shown_at_its_whole_height(
    tmp_path: Path, name: str
) -> None:
    path = _encoded(tmp_path / name, _as_fields(), 50)
    video = facts(path)
    assert (video.width, video.height) == (WIDTH, HEIGHT)
    assert (video.fps, video.frames, video.variable_rate) == (Fraction(25), PICTURES, False)
    order = [*range(PICTURES), 7, 6, 5]
    shown = read(path, order)
    assert numbers(shown) == order
    drawn = av.VideoFrame.from_ndarray(picture(10, WIDTH, HEIGHT), "rgb24").reformat(
        format="gray", dst_color_range=1
    )
    luma = drawn.to_ndarray().astype(float)[HEIGHT // 2 :]
    assert np.abs(shown[5].y.numpy()[HEIGHT // 2 :] - luma).mean() < 4


def test_colours_that_no_word_names_are_those_of_the_whole_height(tmp_path: Path) -> None:
    drawn = [picture(0, 1056, 800)[parity::2] for parity in range(2)]
    video = facts(_encoded(tmp_path / "fields.mp4", drawn, 50))
    assert (video.height, video.color.matrix) == (800, 1)


def test_whole_pictures_that_are_called_fields_stay_whole(tmp_path: Path) -> None:
    drawn = [picture(number, 192, 128) for number in range(PICTURES)]
    path = _encoded(tmp_path / "whole.mp4", drawn, 25)
    video = facts(path)
    assert (video.width, video.height, video.fps, video.frames) == (
        192,
        128,
        Fraction(25),
        PICTURES,
    )
    assert numbers(read(path)) == list(range(PICTURES))
