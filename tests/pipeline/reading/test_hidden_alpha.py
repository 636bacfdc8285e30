"""A film of which nothing could be seen is shown: its transparency is not meant."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.pipeline.reading.calls import numbers, read
from tests.support.media import picture

FILMS = {
    "screen.avi": ("rawvideo", "bgra"),
    "lossless.avi": ("huffyuv", "bgra"),
    "animation.mov": ("qtrle", "argb"),
}


def _film(path: Path, seen_from: int, seen_to: int = 20) -> Path:
    """Twenty pictures that are wholly transparent before a number, and from another one on."""
    codec, layout = FILMS[path.name]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 192, 128, layout
        for number in range(20):
            alpha = np.full((128, 192), 255 if seen_from <= number < seen_to else 0, np.uint8)
            rgba = np.dstack([picture(number, 192, 128), alpha])
            frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=layout)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", list(FILMS))
def test_film_whose_fourth_byte_is_never_set_is_shown(tmp_path: Path, name: str) -> None:
    path = _film(tmp_path / name, seen_from=20)
    assert numbers(read(path)) == list(range(20))
    assert numbers(read(path, [19, 7, 0])) == [19, 7, 0]


@pytest.mark.parametrize("name", list(FILMS))
def test_film_that_comes_out_of_nothing_begins_white(tmp_path: Path, name: str) -> None:
    path = _film(tmp_path / name, seen_from=6)
    for order in (list(range(20)), list(range(19, -1, -1))):
        frames = {frame.index: frame for frame in read(path, order)}
        assert all(int(frames[n].y.min()) >= 230 for n in range(6))
        assert numbers(frames[n] for n in range(6, 20)) == list(range(6, 20))


@pytest.mark.parametrize("name", list(FILMS))
def test_film_that_comes_out_of_nothing_and_goes_into_it_is_white_at_both_ends(
    tmp_path: Path, name: str
) -> None:
    frames = read(_film(tmp_path / name, seen_from=8, seen_to=11))
    assert all(int(frames[n].y.min()) >= 230 for n in (*range(8), *range(11, 20)))
    assert numbers(frames[8:11]) == [8, 9, 10]


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_a_still_of_which_nothing_can_be_seen_is_shown(tmp_path: Path, name: str) -> None:
    rgba = np.dstack([picture(5, 192, 128), np.zeros((128, 192), np.uint8)])
    Image.fromarray(rgba, "RGBA").save(tmp_path / name, lossless=True, exact=True)
    assert numbers(read(tmp_path / name)) == [5]
