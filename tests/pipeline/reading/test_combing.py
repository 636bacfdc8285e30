"""Whether interlaced film is what it says is seen by what moves, as little as that may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.reading import combing
from pipeline.reading.combing import (
    Luma,
    _Seen,
    _threes,
    is_combed,
    may_be_woven,
    unsaid_order,
)
from pipeline.reading.cursor import Cursor
from pipeline.reading.film import Film
from tests.pipeline.reading.calls import facts
from tests.support import interlaced
from tests.support.interlaced import Woven, write_woven

SIDE = 256


def _talking(film: Woven, frame: int, moment: int) -> NDArray[np.uint8]:
    """A still room with its noise, in which a mouth of one percent of the picture moves."""
    noise = np.random.default_rng(moment)
    y, x = np.mgrid[0 : film.height, 0:SIDE]
    room = 110 + 50 * np.sin(x / 7) * np.sin(y / 5) + noise.normal(0, 2, y.shape)
    mouth = 6 + 5 * np.sin(moment * 0.7)
    inside = ((x - 128) / 22) ** 2 + ((y - 170) / mouth) ** 2 < 1
    room[inside] = 30
    del frame
    return np.repeat(room.clip(0, 255).astype(np.uint8)[..., None], 3, 2)


def _combed(path: Path) -> bool:
    return is_combed(path, Film(facts(path)).pictures())


@pytest.mark.parametrize("crf", ["18", "30"])
@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize("moved", [True, False], ids=["interlaced", "progressive"])
def test_a_mouth_that_moves_tells_film_of_two_moments_from_film_of_one(
    tmp_path: Path, moved: bool, first: str, crf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlaced, "scene", _talking)
    film = Woven(30, SIDE, SIDE, first=first, moved=moved, options={"crf": crf})
    assert _combed(write_woven(tmp_path / "film.mp4", film)) is moved


@pytest.mark.parametrize("crf", ["18", "26"])
@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize("moved", [True, False], ids=["woven", "progressive"])
def test_a_mouth_tells_the_order_of_woven_film_that_says_it_is_progressive(
    tmp_path: Path, moved: bool, first: str, crf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlaced, "scene", _talking)
    film = Woven(30, SIDE, SIDE, first=first, moved=moved, options={"crf": crf}, silent=True)
    path = write_woven(tmp_path / "film.mp4", film)
    assert unsaid_order(path, Film(facts(path)).pictures()) == (first if moved else None)


@pytest.mark.parametrize("first", ["tff", "bff", None])
def test_a_broadcast_recorded_as_progressive_tells_the_order_of_its_fields(
    tmp_path: Path, first: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlaced, "scene", _talking)
    film = Woven(30, SIDE, 1080, first=first or "tff", moved=first is not None, silent=True)
    path = write_woven(tmp_path / "film.mp4", film)
    assert may_be_woven(1080, facts(path).fps)
    assert unsaid_order(path, Film(facts(path)).pictures()) == first


def test_of_tall_film_that_is_plainly_progressive_one_stretch_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_woven(tmp_path / "film.mp4", Woven(60, SIDE, 1080, moved=False, silent=True))
    looked: list[range] = []

    def threes(cursor: Cursor, numbers: range, called: bool) -> Iterator[tuple[Luma, Luma, Luma]]:
        looked.append(numbers)
        return _threes(cursor, numbers, called)

    monkeypatch.setattr(combing, "_threes", threes)
    assert unsaid_order(path, Film(facts(path)).pictures()) is None
    assert len(looked) == 1


@pytest.mark.parametrize("down", [True, False])
def test_film_whose_lines_are_doubled_is_not_woven_however_it_moves(down: bool) -> None:
    rng = np.random.default_rng(5)
    small = rng.integers(0, 255, (70, 64)).astype(np.float64)
    small = np.cumsum(small - small.mean(), 0)  # smooth from line to line
    small = (small - small.min()) / np.ptp(small) * 255
    moments = [np.repeat(small[n : n + 60], 2, 0).astype(np.int16) for n in (0, 2, 4)]
    seen = _Seen()
    for _ in range(20):
        seen.add(*(moments if down else moments[::-1]))
    assert seen.order is None


def test_of_a_still_film_no_order_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlaced, "scene", lambda film, *_: _talking(film, 0, 3))
    path = write_woven(tmp_path / "still.mp4", Woven(20, SIDE, SIDE, silent=True))
    assert unsaid_order(path, Film(facts(path)).pictures()) is None


def test_film_in_which_nothing_moves_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlaced, "scene", lambda film, *_: _talking(film, 0, 3))
    film = Woven(20, SIDE, SIDE, moved=False)
    assert _combed(write_woven(tmp_path / "still.mp4", film))


def test_a_film_of_two_pictures_is_believed(tmp_path: Path) -> None:
    assert _combed(write_woven(tmp_path / "short.mp4", Woven(2)))


@pytest.mark.parametrize("matrix", [13, 14], ids=["constant luminance", "ICtCp"])
def test_film_of_colours_that_no_converter_knows_is_looked_at(tmp_path: Path, matrix: int) -> None:
    assert _combed(write_woven(tmp_path / "film.mp4", Woven(matrix=matrix, pix_fmt="yuv422p10le")))


def _progressive(before: Luma, here: Luma, after: Luma, times: int = 1) -> bool:
    seen = _Seen()
    for _ in range(times):
        seen.add(before, here, after)
    return seen.progressive


def test_few_samples_that_move_are_no_proof_of_progressive_film_and_more_of_the_same_are() -> None:
    here = np.full((64, 64), 100, np.int16)
    before, after = here.copy(), here.copy()
    before[20:30, 20:30] = 50
    before[20:30:3] += 20  # nothing lies as close to its neighbours as in the picture itself
    after[20:30, 20:30] = 150
    after[20:30:3] -= 20
    assert not _progressive(before, here, after)
    assert _progressive(before, here, after, times=20)


def test_pictures_that_have_nothing_in_common_tell_nothing() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (3, 64, 64), np.int16)
    assert not _progressive(*noise)


def test_fields_that_are_unlike_the_same_neighbour_are_of_two_moments() -> None:
    here = np.full((64, 64), 100, np.int16)
    near, far = np.array([[140], [60]]), np.array([[180], [20]])
    before, after = np.tile(near, (32, 64)), np.tile(far, (32, 64))
    before[1::2], after[1::2] = after[1::2].copy(), before[1::2].copy()
    assert not _progressive(before.astype(np.int16), here, after.astype(np.int16))
    assert not _progressive(after.astype(np.int16), here, before.astype(np.int16))
