"""Noises made on the spot, speech in them, and how near two plans of one speech are."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.speech.mouth import MouthCurve
from tests.pipeline.speech.sounds import RATE, music, noise, tone


def mixed(words: Tensor, other: Tensor, below_db: float) -> Tensor:
    """Words over a noise that is so much quieter, both as loud as they are on the mean."""
    power, theirs = float(words.square().mean()), float(other.square().mean())
    sum_ = words + other * math.sqrt(power / theirs / 10 ** (below_db / 10))
    return sum_ * min(1.0, 0.9 / float(sum_.abs().max()))


def hiss(words: Tensor) -> Tensor:
    return noise(len(words) / RATE)


def street(words: Tensor) -> Tensor:
    """A rumble of falling spectrum that swells and fades, as cars that pass."""
    spectrum = torch.fft.rfft(noise(len(words) / RATE, seed=3))
    falling = spectrum / torch.arange(1, len(spectrum) + 1).clamp(min=200) ** 0.75
    rumble: Tensor = torch.fft.irfft(falling, len(words))
    at = torch.arange(len(words)) / RATE
    return rumble * (0.35 + torch.sin(2 * math.pi * 0.15 * at).square())


def fan(words: Tensor) -> Tensor:
    hum = torch.stack([tone(len(words) / RATE + 1, 87.0 * n) / n for n in range(1, 9)]).sum(0)
    return hum[: len(words)] + 3 * street(words)


def chords(words: Tensor) -> Tensor:
    return music(len(words) / RATE + 1)[: len(words)]


NOISES: dict[str, Callable[[Tensor], Tensor]] = {
    "hiss": hiss,
    "street": street,
    "fan": fan,
    "music": chords,
}


def agreement(heard: MouthCurve, clean: MouthCurve) -> float:
    """Correlation of two plans' openings."""
    return float(torch.corrcoef(torch.stack([heard.capped, clean.capped]))[0, 1])
