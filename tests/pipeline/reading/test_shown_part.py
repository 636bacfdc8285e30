"""What a container says is not shown of a picture is not delivered."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from tests.pipeline.reading.calls import facts, numbers, read
from tests.support.margins import remuxed, with_clap
from tests.support.media import Clip, Tone, write_clip

SIZE = 240, 160
INSIDE = 24, 0, 24, 32
"""Margins beside which the number of a picture is read as before."""


CLIP = Clip(width=SIZE[0], height=SIZE[1], frames=12, options={"crf": "4"})


def _film(folder: Path, kind: str, margins: tuple[int, int, int, int]) -> Path:
    whole = write_clip(folder / "whole.mp4", replace(CLIP, sound=Tone(0.4)))
    film = with_clap(whole, margins, SIZE)
    return film if kind == "mp4" else remuxed(film, folder / f"film.{kind}")


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_only_the_part_that_is_shown_is_delivered(tmp_path: Path, kind: str) -> None:
    left, top, right, bottom = margins = 16, 8, 40, 24
    plain = write_clip(tmp_path / "plain.mp4", CLIP)
    path = _film(tmp_path, kind, margins)
    video = facts(path)
    assert (video.width, video.height) == (SIZE[0] - left - right, SIZE[1] - top - bottom)
    order = [*range(12), 7, 6, 5]
    for shown, whole in zip(read(path, order), read(plain, order), strict=True):
        part = whole.y.numpy()[top : SIZE[1] - bottom, left : SIZE[0] - right]
        assert np.array_equal(shown.y.numpy(), part)


def test_a_film_that_is_turned_is_cropped_as_it_is_coded(tmp_path: Path) -> None:
    clip = Clip(width=SIZE[1], height=SIZE[0], frames=3, rotation=90)
    film = with_clap(write_clip(tmp_path / "film.mp4", clip), (16, 8, 40, 24), SIZE)
    video = facts(film)
    assert (video.width, video.height, video.rotation) == (128, 184, 90)
    assert [frame.y.shape for frame in read(film)] == [(184, 128)] * 3


@pytest.mark.parametrize(("lines", "matrix"), [(720, 1), (704, 6)])
def test_colours_that_no_word_names_are_those_of_the_whole_picture(
    tmp_path: Path, lines: int, matrix: int
) -> None:
    path = write_clip(tmp_path / "film.mp4", Clip(width=240, height=lines, frames=2))
    video = facts(with_clap(path, (0, 64, 0, 64), (240, lines)))
    assert (video.height, video.color.matrix) == (lines - 128, matrix)


@pytest.mark.parametrize("margins", [(-8, 0, 0, 0), (120, 0, 120, 0), (0, 400, 0, -300)])
def test_margins_that_no_picture_has_are_not_heeded(
    tmp_path: Path, margins: tuple[int, int, int, int]
) -> None:
    path = _film(tmp_path, "mp4", margins)
    assert (facts(path).width, facts(path).height) == SIZE
    assert numbers(read(path)) == list(range(12))


@pytest.mark.parametrize("told", [(SIZE[0], 168), (320, SIZE[1])], ids=["blocks", "screen"])
def test_margins_of_pictures_of_another_size_are_not_heeded(
    tmp_path: Path, told: tuple[int, int]
) -> None:
    right, bottom = told[0] - SIZE[0], told[1] - SIZE[1]
    path = with_clap(write_clip(tmp_path / "film.mp4", CLIP), (0, 0, right, bottom), told)
    data = bytearray(path.read_bytes())
    place = data.index(b"avc1", data.index(b"stsd")) + 28
    assert struct.unpack_from(">HH", data, place) == SIZE
    struct.pack_into(">HH", data, place, *told)
    path.write_bytes(data)
    assert numbers(read(path)) == list(range(12))
    assert {frame.y.shape[0] for frame in read(path)} == {SIZE[1]}


@pytest.mark.parametrize("place", range(4, 32, 4))
def test_a_clean_aperture_without_sense_ends_in_the_whole_picture(
    tmp_path: Path, place: int
) -> None:
    path = _film(tmp_path, "mp4", INSIDE)
    data = bytearray(path.read_bytes())
    at = data.index(b"clap") + 4 + place
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    video = facts(path)
    assert (video.frames, len(read(path))) == (12, 12)


@pytest.mark.parametrize("place", range(-4, 6))
def test_a_damaged_word_of_matroska_ends_in_a_picture_or_a_typed_error(
    tmp_path: Path, place: int
) -> None:
    path = _film(tmp_path, "mkv", INSIDE)
    data = bytearray(path.read_bytes())
    data[data.index(b"\x54\xaa") + place] ^= 0xFF
    path.write_bytes(data)
    with suppress(InputError):
        assert len(read(path)) == 12
