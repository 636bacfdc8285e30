"""How speech reaches us: faster and higher, in a room, over a telephone, beside noise."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from tests.bench.closures import RECORDINGS
from tests.bench.espeak import RATE, Said, resampled
from tests.bench.teachers import AS_SAID

PAUSE_S = 0.3
"""Between sentences."""
_SLOWEST, _FASTEST = 0.86, 1.18
_ROOM = "room"
_ECHO_S, _ECHO = (0.15, 0.5), (0.2, 0.6)
"""Seconds until an echo is 60 dB weaker, and its share of the direct sound."""


def recorded(said: list[Said], recording: str, chance: random.Random) -> Said:
    """Sentences one after the other, as a recording of `tests.bench.teachers.RECORDINGS`."""
    spoken = _joined(said)
    if recording == AS_SAID:
        return spoken
    spoken = _faster(spoken, chance.uniform(_SLOWEST, _FASTEST))
    samples = spoken.samples
    place, _, line = recording.partition(", ")
    if place == _ROOM:
        samples = _in_room(samples, chance)
        return Said(RECORDINGS["telephone, 8 kHz"](samples) if line else samples, spoken.phones)
    return Said(RECORDINGS[recording](samples), spoken.phones)


def _joined(said: list[Said]) -> Said:
    parts: list[Tensor] = []
    phones: list[tuple[str, float, float]] = []
    at = 0.0
    for one in said:
        phones += [(name, start + at, end + at) for name, start, end in one.phones if end > start]
        parts += [one.samples, torch.zeros(int(PAUSE_S * RATE))]
        at += one.samples.numel() / RATE + PAUSE_S
    return Said(torch.cat(parts), phones)


def _faster(said: Said, factor: float) -> Said:
    """Played faster, as by another, smaller speaker: pitch and formants rise too."""
    phones = [(name, start / factor, end / factor) for name, start, end in said.phones]
    return Said(resampled(said.samples, round(RATE * factor)), phones)


def _in_room(samples: Tensor, chance: random.Random) -> Tensor:
    """With an echo of noise that dies away (Moorer, Computer Music Journal 3(2), 1979)."""
    generator = torch.Generator().manual_seed(chance.randrange(1 << 30))
    steps = round(chance.uniform(*_ECHO_S) * RATE)
    decay = 10 ** (-3 * torch.arange(steps) / steps)
    echo = torch.randn(steps, generator=generator) * decay
    echo = echo / echo.norm() * chance.uniform(*_ECHO)
    echo[0] += 1
    size = 1 << (samples.numel() + steps).bit_length()
    heard: Tensor = torch.fft.irfft(
        torch.fft.rfft(samples, size) * torch.fft.rfft(echo, size), size
    )
    return heard[: samples.numel()]
