"""Lips shut on every bilabial, and where nobody says one they do not."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.speech.closures import Closure, caps, find, holds
from pipeline.speech.dips import Dip, dips
from pipeline.speech.mel import hear
from pipeline.speech.phones import PhoneSpan
from tests.pipeline.speech.sounds import demo, silence, tone


def test_every_bilabial_shuts_the_lips_around_its_centre() -> None:
    spans = [PhoneSpan("AA", 0, 0.2), PhoneSpan("B", 0.2, 0.3), PhoneSpan("AA", 0.3, 0.5)]
    cap = caps(find(spans, []), 51)
    assert cap[25] == 0
    assert float(cap[22:29].max()) == 0
    assert float(cap[:14].min()) == 1
    assert float(cap[36:].min()) == 1
    assert 0 < float(cap[19]) < 1
    held = holds(find(spans, []), 51)
    assert held[22:29].tolist() == [0.0] * 7
    assert float(held[:22].min()) == float(held[29:].min()) == 1


def test_lips_on_teeth_stay_a_little_open() -> None:
    cap = caps(find([PhoneSpan("F", 0.2, 0.3)], []), 51)
    assert abs(float(cap[25]) - 0.10) < 1e-6


@given(st.floats(-0.5, 1.5), st.floats(0, 0.3))
def test_no_closure_falls_between_steps(start: float, duration: float) -> None:
    cap = caps([Closure(start, start + duration, 0.0, "P")], 101)
    assert bool(((cap >= 0) & (cap <= 1)).all())
    if start > 0.01 and start + duration < 0.99:
        assert float(cap.min()) == 0.0


def test_a_blocked_mouth_is_seen_in_the_signal_alone() -> None:
    vowel = torch.stack([tone(0.4, hz, 0.1) for hz in (150, 700, 1200, 2500)]).sum(0)
    murmur = tone(0.08, 150, 0.1)
    sound = torch.cat([silence(0.2), vowel, murmur, vowel, silence(0.2)])
    mel, level = hear(sound)
    found = dips(mel, level)
    assert len(found) == 1
    assert abs(found[0].time - 0.64) < 0.03


def test_steady_sounds_and_pauses_have_no_dips() -> None:
    for sound in (silence(1.0), tone(1.0, 700), torch.cat([silence(0.5), tone(0.5, 700)])):
        mel, level = hear(sound)
        assert dips(mel, level) == []


def test_dips_narrow_what_was_heard_as_vowels_and_shut_v() -> None:
    blocked = Dip(0.25, 30.0, -40.0)
    hissed = Dip(0.25, 30.0, -5.0)
    vowel = find([PhoneSpan("AA", 0.2, 0.4)], [blocked])
    assert [c.cap for c in vowel] == [0.40]
    assert [c.cap for c in find([PhoneSpan("V", 0.2, 0.3)], [blocked])] == [0.0]
    assert [c.cap for c in find([PhoneSpan("V", 0.2, 0.3)], [hissed])] == [0.10]
    assert find([PhoneSpan("S", 0.2, 0.3)], [blocked]) == []


def test_clear_speech_is_not_shut_where_nobody_says_so() -> None:
    mel, level = hear(demo().samples)
    assert all(dip.depth >= 18 for dip in dips(mel, level))
    assert find([PhoneSpan("S", 0, 7)], dips(mel, level)) == []
