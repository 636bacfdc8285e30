"""What the phone network makes of everything that is taught about closed lips."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.speech.activity import lift
from pipeline.speech.conformer import RATE as FRAMES
from pipeline.speech.conformer import network
from pipeline.speech.mel import hear
from tests.bench.closures import LIPS, TEETH
from tests.bench.espeak import Espeak, Said
from tests.bench.recordings import recorded
from tests.bench.teachers import taught

_SLACK_S = 0.005


@dataclass(frozen=True, slots=True)
class Lesson:
    """One recording of a teacher."""

    voice: str
    group: str
    recording: str
    said: Said
    inner: Tensor
    """(S, 576) float16, inner outputs of the phone network."""
    kinds: Tensor
    """(S,) 0 open, 1 lips closed, 2 on teeth."""


def lessons(voice: Espeak) -> Iterator[Lesson]:
    """Everything that is taught, heard by the phone network."""
    chance = random.Random(5)
    for one in taught(voice):
        for recording in one.recordings:
            said = recorded(one.said, recording, chance)
            inner, kinds = _heard(said)
            yield Lesson(one.voice, one.group, recording, said, inner, kinds)


def _heard(said: Said) -> tuple[Tensor, Tensor]:
    _, level = hear(said.samples)
    heard = network()((said.samples * 10 ** (lift(level) / 20)).clamp(-1, 1))
    inner = torch.cat(heard.hidden, 1)
    times = torch.arange(len(inner)) / FRAMES
    kinds = torch.zeros(len(inner), dtype=torch.long)
    for name, start, end in said.phones:
        kind = 1 if name[:1] in LIPS else 2 if name[:1] in TEETH else 0
        if kind:
            kinds[(times >= start - _SLACK_S) & (times <= end + _SLACK_S)] = kind
    return inner.half(), kinds
