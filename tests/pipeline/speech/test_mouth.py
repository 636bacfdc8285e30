"""The mouth follows the speech, whatever the sound."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from pipeline.speech.align import align
from pipeline.speech.closures import Closure, caps
from pipeline.speech.mouth import MouthCurve, listen, plan_heard, plan_mouth, settle
from pipeline.speech.targets import LEAD, least, sample
from pipeline.speech.visemes import LIPS_CLOSED, OPEN_VOWELS
from pipeline.timeline import Timeline
from schemas.request import Loop
from tests.pipeline.speech.sounds import DEMO_TEXT, demo, music, noise, silence, speech, tone


@pytest.fixture(scope="module")
def spoken() -> MouthCurve:
    return plan_mouth(replace(demo(), transcript=DEMO_TEXT))


def check(curve: MouthCurve, samples: int) -> None:
    total = samples // 160 + 1
    for values, low in (
        (curve.openness, 0),
        (curve.width, -1),
        (curve.jaw, 0),
        (curve.activity, 0),
        (curve.rest, 0),
        (curve.cap, 0),
    ):
        assert values.shape == (total,)
        assert torch.isfinite(values).all()
        assert low <= float(values.min())
        assert float(values.max()) <= 1


def test_the_mouth_opens_on_open_vowels_and_shuts_on_closed_lips(spoken: MouthCurve) -> None:
    check(spoken, demo().samples.numel())
    shut = [p for p in spoken.phones if p.name in LIPS_CLOSED]
    opened = [p for p in spoken.phones if p.name in OPEN_VOWELS]
    assert len(shut) == 8
    assert max(float(spoken.capped[round(p.centre * 100)]) for p in shut) == 0.0
    assert min(float(spoken.capped[round(p.centre * 100)]) for p in opened) > 0.36


def test_silence_rests_the_mouth_and_noise_does_not_make_it_talk() -> None:
    quiet = plan_mouth(speech(silence(2.0)))
    check(quiet, 32_000)
    assert float(quiet.capped.max()) == 0
    assert float(quiet.rest.min()) == 1
    assert quiet.closures == []
    hiss = plan_mouth(speech(noise(3.0, 0.2)))
    assert float(hiss.rest[10:-10].mean()) > 0.9


@pytest.mark.parametrize("samples", [0, 1, 480, 1_000, 3_200])
def test_the_shortest_sounds_have_a_mouth(samples: int) -> None:
    check(plan_mouth(speech(demo().samples[20_000 : 20_000 + samples])), samples)


def test_odd_sounds_stay_in_range() -> None:
    clipped = (demo().samples * 100).clamp(-1, 1)
    offset = demo().samples * 0.1 + 0.5
    for sound in (clipped, offset, music(3.0), tone(2.0, 60.0), noise(1.0, 3.0)):
        check(plan_mouth(speech(sound)), sound.numel())


def test_loudness_of_the_recording_does_not_matter() -> None:
    loud = plan_mouth(speech(demo().samples))
    for factor in (0.1, 0.01):
        quiet = plan_mouth(speech(demo().samples * factor))
        together = torch.stack([loud.openness, quiet.openness])
        assert float(torch.corrcoef(together)[0, 1]) > 0.995
        assert abs(float(quiet.openness.mean() - loud.openness.mean())) < 0.005


def test_lips_bend_gently_into_a_closure_that_stays_whole() -> None:
    opening = torch.full((101,), 0.6)
    cap = caps([Closure(0.48, 0.52, 0.0, "P")], 101)
    sharp = torch.minimum(opening, cap)
    soft = torch.minimum(settle(opening, cap), cap)
    assert float(soft[48:53].max()) == 0.0
    assert float(soft[:35].min()) > 0.55
    bend, before = (float(curve.diff().diff().square().sum()) for curve in (soft, sharp))
    assert bend < 0.75 * before


@pytest.mark.parametrize("way", ["as loud a noise", "cut off"])
def test_speech_in_a_noise_as_loud_or_cut_off_is_no_rest_and_its_pause_is(
    spoken: MouthCurve, way: str
) -> None:
    """The level does not tell any more who speaks; the phones do."""
    words = torch.cat([demo().samples, silence(1.5)])
    if way == "cut off":
        sound = (100 * (words / words.abs().max() + noise(len(words) / 16_000, 0.02))).clamp(-1, 1)
    else:
        sound = words + noise(len(words) / 16_000, 1.5 * float(words.square().mean().sqrt()))
    heard = plan_mouth(speech(sound))
    total = spoken.rest.numel()
    talking = spoken.rest < 0.5
    assert float(heard.rest[:total][talking].mean()) < 0.2
    assert float(heard.rest[total + 30 : total + 130].mean()) > 0.8
    assert float(heard.capped[:total].mean()) > 0.5 * float(spoken.capped.mean())


def test_music_alone_leaves_the_mouth_at_rest() -> None:
    curve = plan_mouth(speech(music(4.0)))
    assert float((curve.capped * (1 - curve.rest) < 0.15).float().mean()) > 0.98


def test_the_same_speech_gives_the_same_mouth_bit_for_bit() -> None:
    first, second = plan_heard(listen(demo())), plan_heard(listen(demo()))
    assert torch.equal(first.openness, second.openness)
    assert first.phones == second.phones


def test_a_transcript_of_something_else_is_dropped() -> None:
    other = "the weather was rather nice this morning when we left the house"
    assert listen(replace(demo(), transcript=other)).phones == listen(demo()).phones


@pytest.mark.parametrize(
    "fps", [Fraction(10), Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(120)]
)
def test_at_any_rate_every_closure_reaches_a_frame(spoken: MouthCurve, fps: Fraction) -> None:
    timeline = Timeline.fit(demo().duration, fps, 10, Loop.PINGPONG)
    targets = sample(spoken, timeline.fps, timeline.frames)
    for values in (targets.openness, targets.width, targets.jaw, targets.activity, targets.rest):
        assert values.shape == (timeline.frames,)
    for closure in spoken.closures:
        if closure.cap > 0:
            continue
        frame = int((closure.start + closure.end) / 2 * float(fps) - float(LEAD * fps))
        assert bool(targets.closed[frame])
        assert float(targets.openness[frame]) == 0


def test_ten_minutes_at_ntsc_rate_do_not_drift() -> None:
    fps, frames = Fraction(30000, 1001), 18_000
    curve = torch.ones(60_200)
    curve[30_000] = 0  # at 300 s
    low = torch.nonzero(least(curve, fps, frames) == 0).flatten().tolist()
    expected = int((Fraction(300) - LEAD) * fps)
    assert low
    assert all(abs(frame - expected) <= 1 for frame in low)


def test_the_lips_are_ahead_of_the_sound(spoken: MouthCurve) -> None:
    timeline = Timeline.fit(demo().duration, Fraction(100), 10, Loop.PINGPONG)
    opening = sample(spoken, timeline.fps, timeline.frames).openness
    both = torch.stack([opening[:600], spoken.capped[3:603]])
    assert float(torch.corrcoef(both)[0, 1]) > 0.99


@pytest.mark.slow
def test_a_longer_speech_is_the_sum_of_its_parts() -> None:
    one = torch.cat([demo().samples, silence(1.5)])
    curve = plan_mouth(speech(one.repeat(8)))
    check(curve, 8 * one.numel())
    alone = plan_mouth(speech(one))
    step = one.numel() // 160
    third = curve.capped[2 * step : 2 * step + step]
    both = torch.stack([third, alone.capped[:step]])
    assert float(torch.corrcoef(both)[0, 1]) > 0.95


def test_a_speech_that_knows_its_words_is_aligned_to_them() -> None:
    told = listen(replace(demo(), transcript=DEMO_TEXT))
    assert told.phones == align(demo().samples, told.level, DEMO_TEXT)
    assert told.phones != listen(demo()).phones
