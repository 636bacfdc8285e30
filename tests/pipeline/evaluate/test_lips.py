"""Pauses, loudness and rest are measured as they are."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from pipeline.evaluate.lips import envelope, rest_limit, silences
from pipeline.evaluate.own import find, followed
from pipeline.reading.audio import Speech
from pipeline.speech.mouth_range import MouthRange

RATE = 16_000


def talk(*parts: tuple[float, float]) -> Speech:
    """Noise: seconds and loudness, one after the other."""
    generator = torch.Generator().manual_seed(3)
    pieces = [
        level * torch.randn(int(seconds * RATE), generator=generator) for seconds, level in parts
    ]
    samples = torch.cat(pieces).clamp(-1, 1)
    return Speech(samples, Fraction(len(samples), RATE))


def test_pauses_of_more_than_a_fifth_of_a_second_are_found_and_shorter_ones_not() -> None:
    speech = talk((1.0, 0.2), (0.5, 0.0), (1.0, 0.2), (0.15, 0.0), (1.0, 0.2))
    ((start, end),) = silences(speech)
    assert start == pytest.approx(1.0, abs=0.05)
    assert end == pytest.approx(1.5, abs=0.05)


def test_the_envelope_follows_the_loudness() -> None:
    loud = envelope(talk((1.0, 0.3), (1.0, 0.03)), 25.0, 50)
    assert loud.shape == (50,)
    assert float(loud[5:20].min()) > float(loud[30:45].max())


def test_a_resting_mouth_may_be_as_open_as_the_reference_keeps_it() -> None:
    talker = MouthRange(0.2, 0.0, 0.45, 0.5, 0.6, talks=True)
    gaper = MouthRange.silent(0.06, 0.5)
    assert rest_limit(talker) == pytest.approx(0.03)
    assert rest_limit(gaper) == pytest.approx(0.08)


def test_a_part_of_a_sound_is_found_where_it_lies() -> None:
    whole = talk((4.0, 0.2)).samples
    noisy = whole[RATE : 3 * RATE] + 0.02 * torch.randn(
        2 * RATE, generator=torch.Generator().manual_seed(1)
    )
    assert find(noisy, whole) == RATE
    assert find(whole, whole) == 0
    assert find(torch.cat([torch.zeros(500), whole]), whole) == -500


def test_another_sound_is_not_found() -> None:
    a, b = talk((2.0, 0.2)).samples, talk((1.0, 0.1), (3.0, 0.2)).samples
    assert find(a.flip(0), b) is None
    assert find(torch.zeros(RATE), b) is None


def test_a_still_mouth_turns_with_its_head_and_follows_no_speech() -> None:
    generator = torch.Generator().manual_seed(5)
    turn, opening = torch.randn(2, 90, 1, 1, generator=generator)
    skull = turn * torch.randn(1, 20, 2, generator=generator)
    rigid = 1 + turn * torch.randn(1, 40, 2, generator=generator)
    spoken = opening * torch.randn(1, 40, 2, generator=generator)
    assert torch.allclose(followed(rigid, skull), rigid, atol=1e-4)
    still = followed(rigid + spoken, skull)
    assert float((still - rigid).abs().mean()) < 0.2 * float(spoken.abs().mean())
    assert torch.allclose(
        followed(rigid + spoken, skull, opening[:, 0, 0]), rigid + spoken, atol=1e-4
    )
