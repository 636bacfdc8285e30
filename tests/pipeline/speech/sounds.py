"""Sounds made on the spot, and the demo's speech, whose words are known."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from pipeline.reading.audio import Speech, load_speech
from pipeline.types import Limits

RATE = 16_000
DEMO = Path(__file__).parents[3] / "consumer" / "demo_assets" / "speech.flac"
DEMO_TEXT = (
    "Hello! This is Face to Face. "
    "My lips move with these words, and close for people, maps, and movies."
)


def speech(samples: Tensor) -> Speech:
    return Speech(samples.float(), Fraction(samples.numel(), RATE))


def demo() -> Speech:
    return load_speech(DEMO, Limits())


def silence(seconds: float) -> Tensor:
    return torch.zeros(round(seconds * RATE))


def noise(seconds: float, level: float = 0.1, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(round(seconds * RATE), generator=generator)


def tone(seconds: float, hz: float, level: float = 0.3) -> Tensor:
    at = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (level * torch.sin(2 * math.pi * hz * at)).float()


def music(seconds: float) -> Tensor:
    """Chords that change every half second, with a decay: loud, modulated, no speech."""
    parts = []
    for n in range(math.ceil(seconds * 2)):
        root = 110.0 * 2 ** ((n * 5 % 12) / 12)
        chord = torch.stack([tone(0.5, root * ratio, 0.15) for ratio in (1.0, 1.25, 1.5, 2.0)])
        parts.append(chord.sum(0) * torch.linspace(1, 0.2, chord.shape[1]))
    return torch.cat(parts)[: round(seconds * RATE)]
