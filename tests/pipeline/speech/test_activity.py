"""Speech is told from silence and noise by its level."""

from __future__ import annotations

import torch

from pipeline.speech.activity import activity, rest
from pipeline.speech.mel import hear
from tests.pipeline.speech.sounds import demo, noise, silence, tone


def test_speech_is_active_and_the_silence_around_it_is_not() -> None:
    sound = torch.cat([silence(1.0), demo().samples, silence(1.0)])
    _, level = hear(sound)
    active = activity(level)
    assert float(active[:90].max()) == 0.0
    assert float(active[120:700].mean()) > 0.8
    assert float(active[-80:].max()) == 0.0


def test_speech_is_found_above_a_noise_floor() -> None:
    speech = demo().samples
    sound = torch.cat([silence(1.0), speech, silence(1.0)])
    _, level = hear(sound + noise(len(sound) / 16_000, level=0.003))
    active = activity(level)
    assert float(active[20:80].mean()) < 0.02
    assert float(active[120:700].mean()) > 0.75


def test_silence_that_an_editor_put_around_a_recording_does_not_hide_its_noise() -> None:
    recording = demo().samples + noise(len(demo().samples) / 16_000, level=0.003)
    around = silence(10.0)
    alone = activity(hear(recording)[1])
    within = activity(hear(torch.cat([around, recording, around]))[1])[1000:][: len(alone)]
    assert float((within - alone)[5:-5].abs().max()) < 0.02


def test_nothing_silent_or_steady_is_speech() -> None:
    for sound in (silence(3.0), noise(4.0, 0.3), noise(4.0, 1e-4), tone(4.0, 120.0)):
        _, level = hear(sound)
        assert float(activity(level)[5:-5].mean()) < 0.05


def test_a_short_pause_keeps_the_mouth_in_speech_and_a_long_one_rests_it() -> None:
    active = torch.ones(300)
    active[50:68] = 0  # 180 ms
    active[150:200] = 0  # 500 ms
    resting = rest(active)
    assert float(resting[:140].max()) == 0.0
    assert float(resting[165:185].min()) == 1.0
    assert float(resting[205:].max()) == 0.0


def test_a_wholly_silent_sound_rests_however_short() -> None:
    for steps in (1, 4, 500):
        assert float(rest(torch.zeros(steps)).min()) == 1.0
