"""Promise: the quantiser's bound falls where too little of the pictures is left, and only there."""

from __future__ import annotations

import pytest

from pipeline.writing import fidelity, x264
from pipeline.writing.fidelity import Bound

SIZE = (640, 360)
USUAL = x264.coarsest(18, *SIZE)


def judged(bound: Bound, db: float, pictures: int = 8) -> int:
    """The bound after pictures of a quality."""
    for _ in range(pictures):
        bound.see(round(255**2 / 10 ** (db / 10) * SIZE[0] * SIZE[1]))
    bound.judge()
    return bound.value


def test_a_bound_stays_as_it_is_where_pictures_are_near_enough() -> None:
    bound = Bound(18, *SIZE)
    assert [judged(bound, db) for db in (45.8, 46, 52, 99)] == [USUAL] * 4


def test_a_bound_falls_by_what_is_missing_and_rises_when_there_is_plenty() -> None:
    bound = Bound(18, *SIZE)
    assert judged(bound, 43.9) == USUAL - 3
    assert judged(bound, 45.8) == USUAL - 3
    assert judged(bound, 50, pictures=50) == USUAL
    assert not bound.judge(), "nothing was seen since"


def test_one_weak_second_of_a_good_clip_changes_nothing() -> None:
    bound = Bound(18, *SIZE)
    judged(bound, 50, pictures=200)
    assert judged(bound, 44.5, pictures=50) == USUAL


@pytest.mark.parametrize("crf", [0, 18, 30, 51])
def test_a_bound_stays_between_the_rate_factor_and_the_usual_one(crf: int) -> None:
    bound = Bound(crf, *SIZE)
    assert crf <= judged(bound, 15) <= x264.coarsest(crf, *SIZE)
    for _ in range(3):
        judged(bound, 99, pictures=20_000)
    assert bound.value == x264.coarsest(crf, *SIZE)


def test_who_asks_for_less_by_the_rate_factor_gets_less() -> None:
    assert judged(Bound(23, *SIZE), fidelity.TARGET_DB - 2) == x264.coarsest(23, *SIZE)
