"""Speech is lifted out of noise before it is heard, and clean speech is left alone."""

from __future__ import annotations

import threading

import pytest
import torch

from pipeline.speech import denoise, perception
from pipeline.speech.denoise import fell_silent, noisy, quieted
from pipeline.speech.mel import hear
from pipeline.speech.mouth import MouthCurve, plan_mouth
from pipeline.speech.perception import perceive
from pipeline.speech.recogniser import recognise
from tests.pipeline.speech.noises import NOISES, agreement, hiss, mixed
from tests.pipeline.speech.sounds import RATE, demo, noise, silence, speech


@pytest.fixture(scope="module")
def clean() -> MouthCurve:
    return plan_mouth(speech(demo().samples))


@pytest.mark.parametrize("kind", ["hiss", "street"])
def test_the_plan_of_speech_in_noise_is_nearer_to_that_of_clean_speech(
    kind: str, clean: MouthCurve, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = demo().samples
    sound = mixed(words, NOISES[kind](words), 5.0)
    heard = agreement(plan_mouth(speech(sound)), clean)
    monkeypatch.setattr(perception, "noisy", lambda samples, level: False)
    as_it_came = agreement(plan_mouth(speech(sound)), clean)
    assert heard > as_it_came + 0.05


@pytest.mark.parametrize("kind", NOISES)
def test_a_loud_noise_is_noticed_and_taken_out(kind: str) -> None:
    words = demo().samples
    sound = mixed(words, NOISES[kind](words), 5.0)
    level = hear(sound)[1]
    assert noisy(sound, level)
    _, after = hear(quieted(sound, level))
    assert fell_silent(level, after)
    assert perceive(sound).quiet is not None


def test_a_noise_between_silence_is_noticed_too() -> None:
    around = silence(10.0)
    sound = torch.cat([around, mixed(demo().samples, hiss(demo().samples), 5.0), around])
    assert perceive(sound).quiet is not None


def test_a_sound_whose_noise_stays_is_heard_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other people's words do: lifted out of their noise, the mouth would say them."""
    monkeypatch.setattr(denoise, "_KEPT", 0.5)
    sound = mixed(demo().samples, hiss(demo().samples), 5.0)
    level = hear(sound)[1]
    assert noisy(sound, level)
    assert perceive(sound).quiet is None


def test_clean_speech_is_heard_bit_for_bit_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perception, "quieted", None)  # whoever calls it fails
    words = demo().samples
    faint_noise = mixed(words, hiss(words), 40.0)
    for sound in (words, words * 0.01, (words * 3).clamp(-1, 1), faint_noise, words[:9000]):
        found = perceive(sound)
        assert found.quiet is None
        assert found.recognition.phones == recognise(sound, hear(sound)[1]).phones


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 16_000])
def test_a_sound_of_any_length_keeps_its_length(samples: int) -> None:
    sound = noise(1.0)[:samples]
    out = quieted(sound, hear(sound)[1])
    assert out.shape == (samples,)
    assert torch.isfinite(out).all()


def test_the_pause_is_quieter_than_the_words_which_stay_where_they_are() -> None:
    words = torch.cat([demo().samples, silence(1.0)])
    sound = words + noise(len(words) / RATE, 0.02)
    out = quieted(sound, hear(sound)[1])
    before, after = hear(sound)[1], hear(out)[1]
    pause = slice(-80, -10)
    fell = (before - after)[pause].mean() - (before - after)[:600].quantile(0.1)
    assert float(fell) > 14.0
    spectra = torch.fft.rfft(torch.stack([words, out.float()]), 2 * len(words))
    later = torch.fft.irfft(spectra[1] * spectra[0].conj()).argmax()
    assert int(later) == 0


def test_a_long_sound_in_blocks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = mixed(demo().samples, hiss(demo().samples), 5.0)
    level = hear(sound)[1]
    whole = quieted(sound, level)
    monkeypatch.setattr(denoise, "_BLOCK", 90)
    assert torch.allclose(quieted(sound, level), whole, rtol=2e-3, atol=1e-6)


def test_numbers_that_are_none_count_as_silence() -> None:
    sound = noise(0.5)
    sound[2000:2100] = float("nan")
    assert torch.isfinite(quieted(sound, hear(sound)[1])).all()


def test_who_gives_up_waits_for_no_more_blocks() -> None:
    stop = threading.Event()
    stop.set()
    sound = noise(1.0)
    assert float(quieted(sound, hear(sound)[1], stop).abs().max()) == 0.0


def test_loudness_of_the_recording_does_not_matter() -> None:
    sound = mixed(demo().samples, hiss(demo().samples), 5.0)
    loud, faint = (quieted(x, hear(x)[1]) for x in (sound, sound * 0.01))
    assert torch.allclose(loud, faint, atol=2e-3)
