"""Mel and loudness of any sound, a step every 10 ms."""

from __future__ import annotations

import torch

from pipeline.speech.mel import BANDS, filters, hear
from tests.pipeline.speech.sounds import noise, silence, tone


def test_a_step_every_10_ms_whatever_the_length() -> None:
    for samples in (0, 1, 159, 160, 480, 16_000, 480_001):
        mel, level = hear(torch.zeros(samples))
        assert mel.shape == (BANDS, samples // 160 + 1)
        assert level.shape == (samples // 160 + 1,)


def test_blocks_give_what_one_piece_gives() -> None:
    sound = noise(31.0)
    whole, level = hear(sound)
    part, part_level = hear(sound[20 * 16_000 :])
    assert torch.allclose(whole[:, 2010:3095], part[:, 10:1095], atol=1e-4)
    assert torch.allclose(level[2010:3095], part_level[10:1095], atol=1e-3)


def test_a_tone_lights_the_band_around_it_and_its_level_is_right() -> None:
    mel, level = hear(tone(1.0, 1000.0, level=0.5))
    loudest = int(mel[:, 50].argmax())
    bins = torch.arange(257) * 16_000 / 512
    centre = float((filters()[loudest] * bins).sum() / filters()[loudest].sum())
    assert abs(centre - 1000) < 40
    assert abs(float(level[50]) - (-9.03)) < 0.01


def test_silence_and_broken_samples_are_finite() -> None:
    mel, level = hear(silence(0.5))
    assert torch.isfinite(mel).all()
    assert float(level.max()) == -100
    broken = torch.tensor([float("nan"), float("inf"), -float("inf")]).repeat(2000)
    mel, level = hear(broken)
    assert torch.isfinite(mel).all()
    assert torch.isfinite(level).all()
