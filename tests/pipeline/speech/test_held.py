"""Held vowels, on sounds whose phones the test names itself."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pipeline.speech.activity import activity
from pipeline.speech.held import hold
from pipeline.speech.mel import hear
from pipeline.speech.mouth import MouthCurve, plan_mouth
from pipeline.speech.perception import Perceived
from pipeline.speech.phones import SILENCE, PhoneSpan
from pipeline.speech.recogniser import Recognition
from tests.pipeline.speech.sounds import noise, silence, speech, tone

NAMED_ONCE = [
    PhoneSpan(SILENCE, 0.0, 0.5),
    PhoneSpan("AA", 0.5, 1.0),
    PhoneSpan(SILENCE, 1.0, 3.0),
]


def voice(seconds: float, level: float = 0.2) -> Tensor:
    return torch.stack([tone(seconds, 150 * n, level / n) for n in range(1, 12)]).sum(0)


def held(sound: Tensor, spans: list[PhoneSpan]) -> list[PhoneSpan]:
    mel, level = hear(sound)
    return hold(spans, sound, mel, level, activity(level))


def planned(sound: Tensor) -> MouthCurve:
    heard: Future[Perceived] = Future()
    hidden = torch.zeros(288, len(sound) // 320 + 1, dtype=torch.float16)
    heard.set_result(Perceived(Recognition(NAMED_ONCE, hidden), None))
    return plan_mouth(replace(speech(sound), recognition=heard))


def test_a_vowel_lasts_as_long_as_it_sounds() -> None:
    sung = held(torch.cat([silence(0.5), voice(1.7), silence(0.8)]), NAMED_ONCE)
    assert [span.name for span in sung] == [SILENCE, "AA", SILENCE]
    assert sung[1].start == 0.5
    assert sung[1].end == pytest.approx(2.2, abs=0.06)
    assert sung[2].end == 3.0


def test_a_vowel_that_was_named_late_begins_where_it_sounds() -> None:
    late = [
        PhoneSpan(SILENCE, 0.0, 1.6),
        PhoneSpan("AA", 1.6, 2.1),
        PhoneSpan(SILENCE, 2.1, 3.0),
    ]
    sung = held(torch.cat([silence(0.5), voice(1.6), silence(0.9)]), late)
    assert sung[1].start == pytest.approx(0.5, abs=0.08)
    assert sung[1].end == 2.1


@pytest.mark.parametrize(
    "after",
    [
        torch.cat([noise(0.7), silence(1.3)]),
        torch.cat([voice(0.7, 0.02), silence(1.3)]),
        silence(2.0),
    ],
    ids=["another sound", "much softer", "silence"],
)
def test_what_does_not_sound_like_the_vowel_stays_silent(after: Tensor) -> None:
    sound = torch.cat([silence(0.5), voice(0.5), after])
    assert held(sound, NAMED_ONCE) == NAMED_ONCE


def test_a_vowel_named_in_the_noise_of_a_pause_is_not_held() -> None:
    """As in old recordings: the noise sounds like itself for as long as nobody speaks."""
    spans = [PhoneSpan("S", 0, 1), PhoneSpan("AA", 1, 1.5), PhoneSpan(SILENCE, 1.5, 3)]
    assert held(torch.cat([voice(1.0, 0.4), noise(2.0, 0.02)]), spans) == spans


@pytest.mark.parametrize(
    "loud",
    [noise(1.7, 0.2), sum((tone(1.7, f, 0.1) for f in (220, 277.2, 329.6)), torch.zeros(1))],
    ids=["noise", "a chord"],
)
def test_what_has_no_voice_is_not_held_though_it_was_named_a_vowel(loud: Tensor) -> None:
    """As of applause or music in a pause, whose onset the network takes for one."""
    assert held(torch.cat([silence(0.5), loud, silence(0.8)]), NAMED_ONCE) == NAMED_ONCE


def test_the_mouth_stays_open_on_a_sung_note_and_shuts_behind_it() -> None:
    curve = planned(torch.cat([silence(0.5), voice(1.7), silence(0.8)]))
    assert float(curve.capped[150:200].min()) > 0.3
    assert float(curve.capped[250:].max()) < 0.05
