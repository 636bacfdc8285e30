"""Every phone has a shape of the mouth."""

from __future__ import annotations

import pytest

from pipeline.speech.phones import NEUTRAL, SILENCE
from pipeline.speech.sphinx import model_path
from pipeline.speech.visemes import LIPS_CLOSED, OPEN_VOWELS, TABLE, VOWELS, visemes


def test_every_phone_of_the_recogniser_has_a_viseme() -> None:
    named = set()
    for line in (model_path() / "cmudict-en-us.dict").read_text().splitlines():
        named.update(line.split()[1:])
    assert len(named) == 39
    assert named | {SILENCE, NEUTRAL} == set(TABLE)


def test_values_lie_in_a_persons_range() -> None:
    for shapes in TABLE.values():
        for shape in shapes:
            assert 0 <= shape.openness <= 1
            assert -1 <= shape.width <= 1
            assert 0 <= shape.jaw <= 1


def test_closed_lips_are_closed_and_open_vowels_open() -> None:
    assert all(visemes(phone)[0].openness == 0 for phone in LIPS_CLOSED)
    rounded = visemes("UW")[0]
    for vowel in OPEN_VOWELS:
        assert vowel in VOWELS
        assert visemes(vowel)[0].openness > 2 * rounded.openness
    assert rounded.width < 0 < visemes("IY")[0].width


@pytest.mark.parametrize("name", ["", "XX", "+NSN+"])
def test_an_unknown_phone_is_a_neutral_vowel(name: str) -> None:
    assert visemes(name) == TABLE["SPN"]
