"""Error codes: a complete table with advice, and texts that never change."""

from __future__ import annotations

import pytest

from schemas.codes import ErrorCode, Stage, facts

RELEASED = {
    "INVALID_REQUEST": False,
    "INPUT_NOT_FOUND": False,
    "INPUT_FORBIDDEN": False,
    "INPUT_TOO_LARGE": False,
    "INPUT_UNREADABLE": False,
    "MEDIA_LIMIT": False,
    "NO_VIDEO": False,
    "NO_AUDIO": False,
    "NO_FACE": False,
    "UNKNOWN_ENGINE": False,
    "ENGINE_UNAVAILABLE": True,
    "WEIGHTS_MISSING": True,
    "ENGINE_FAILED": True,
    "OUTPUT_INVALID": True,
    "OUT_OF_MEMORY": True,
    "SCRATCH_FULL": True,
    "STORE_UNAVAILABLE": True,
    "STORE_DENIED": False,
    "WORKER_CRASHED": True,
    "WORKER_STALLED": True,
    "DEADLINE_EXCEEDED": False,
    "CANCELLED": False,
    "INTERNAL": True,
}
"""Code and whether a retry may help, as released: none may go or turn."""


def test_a_released_code_keeps_its_text_and_its_meaning() -> None:
    now = {code.value: facts(code).retryable for code in ErrorCode}
    assert RELEASED.items() <= now.items()


def test_every_code_has_one_sentence_to_act_on() -> None:
    for code in ErrorCode:
        advice = facts(code).advice
        assert advice.endswith("."), code
        assert 20 < len(advice) < 160, code


def test_no_advice_promises_another_try_as_it_stands_in_the_last_event_too() -> None:
    assert [code for code in ErrorCode if "retr" in facts(code).advice] == []


def test_codes_and_stages_are_equal_to_their_text() -> None:
    assert all(code.value == code.name for code in ErrorCode)
    assert all(stage.value == stage.name.lower() for stage in Stage)


def test_a_code_of_a_later_release_is_read_as_it_stands_and_what_is_no_code_is_not() -> None:
    later = ErrorCode("VOICE_REFUSED")
    assert later == "VOICE_REFUSED"
    assert later == ErrorCode("VOICE_REFUSED")
    assert later not in set(ErrorCode)
    assert facts(later).advice.endswith(".")
    for text in ("", "two words", "x" * 65, "1ST", 'A"'):
        with pytest.raises(ValueError, match="not a valid ErrorCode"):
            ErrorCode(text)
