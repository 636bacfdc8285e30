"""What a library says again and again is said once in a while, and what is new at once."""

from __future__ import annotations

import logging

import pytest

from consumer import log_repeats
from consumer.log_repeats import Repeats


def _line(text: str, *given: object, name: str = "aiokafka.client") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, text, given, None)


def test_the_same_line_passes_once_in_a_while_and_tells_how_many_it_stands_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Brokers that were away for a minute gave some thousand lines of no other news."""
    repeats = Repeats("aiokafka")
    text = "Unable connect to node with id %s: %s"
    passed = [repeats.filter(_line(text, 1, "refused")) for _ in range(100)]
    assert passed == [True, *[False] * 99]
    assert repeats.filter(_line(text, 2, "refused")), "another broker is news"
    assert repeats.filter(_line(text, 1, "bad password")), "and so is another reason"
    monkeypatch.setattr(log_repeats, "SILENT_S", 0.0)
    later = _line(text, 1, "refused")
    assert repeats.filter(later)
    assert later.getMessage() == "Unable connect to node with id 1: refused (and 99 times before)"


def test_lines_of_others_pass_as_often_as_they_are_said() -> None:
    repeats = Repeats("aiokafka")
    for name in ("jobs", "aiokafkaesque"):
        assert all(repeats.filter(_line("record done", name=name)) for _ in range(3))
    assert repeats.filter(_line("gone", name="aiokafka"))
    assert not repeats.filter(_line("gone", name="aiokafka"))


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats("aiokafka")
    for number in range(2 * log_repeats.MOST_REMEMBERED):
        assert repeats.filter(_line("offset %d", number))
    assert len(repeats._said) == log_repeats.MOST_REMEMBERED


def test_a_line_that_does_not_fit_its_values_breaks_nobody() -> None:
    """A handler forgives it; raised here, it ended what the library was about."""
    assert Repeats("aiokafka").filter(_line("%s of %d", "one"))
