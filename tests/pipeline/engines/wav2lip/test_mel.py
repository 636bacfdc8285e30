"""Every frame has its window of the mel, in exact time."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from pipeline.engines.wav2lip.mel import (
    RATE,
    SILENCE,
    WINDOW,
    at_least_one_window,
    mel_bands,
    mel_spectrogram,
    window_starts,
    windows,
)

RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(120)]


@pytest.mark.parametrize("fps", RATES)
def test_every_frame_of_the_speech_has_a_window_and_the_last_repeats(fps: Fraction) -> None:
    seconds = 3
    columns = 1 + seconds * RATE // 200
    starts = window_starts(fps, range(round(seconds * fps) + 5), columns)
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert starts[-1] == columns - WINDOW


@pytest.mark.parametrize("fps", RATES)
def test_ten_minutes_drift_by_nothing(fps: Fraction) -> None:
    last = int(600 * fps)
    (start,) = window_starts(fps, range(last, last + 1), 10**6)
    assert 0 <= Fraction(last) / fps - Fraction(start, 80) < Fraction(1, 80)


@pytest.mark.parametrize("samples", [0, 1, 199, 400, 401, 3000])
def test_speech_shorter_than_one_window_is_filled_with_silence(samples: int) -> None:
    mel = at_least_one_window(mel_spectrogram(0.1 * torch.ones(samples)))
    assert mel.shape == (80, max(WINDOW, 1 + samples // 200))
    assert windows(mel, window_starts(Fraction(25), range(3), mel.shape[1])).shape == (3, 1, 80, 16)
    assert torch.isfinite(mel).all()


def test_digital_silence_is_the_floor_and_not_nan() -> None:
    assert (mel_spectrogram(torch.zeros(RATE)) == SILENCE).all()


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    time = torch.arange(RATE) / RATE
    mel = mel_spectrogram(0.5 * torch.sin(2 * torch.pi * 1000 * time))
    band = int(mel[:, 40].argmax())
    bins = mel_bands()[band].nonzero().flatten() * RATE / 800
    assert bins.min() <= 1000 <= bins.max()
