"""Teach the reading of closed lips (`pipeline.speech.lips`) on speech whose phones are known."""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.speech.activity import lift
from pipeline.speech.conformer import RATE as FRAMES
from pipeline.speech.conformer import network
from pipeline.speech.lips import FILE
from pipeline.speech.mel import hear
from pipeline.speech.recogniser import LAYERS
from tests.bench.closures import RECORDINGS
from tests.bench.espeak import RATE, Espeak
from tests.bench.lessons import LESSONS

VOICES = (
    ("", 160, 50),
    ("+f2", 190, 45),
    ("+m3", 150, 60),
    ("+f4", 215, 55),
    ("+m7", 175, 35),
    ("+f5", 140, 70),
    ("+m1", 200, 40),
    ("+m5", 165, 55),
    ("+f1", 185, 60),
)
"""Variant, words a minute, pitch."""
ROUNDS = ("clean", "telephone, 8 kHz", "white noise 20 dB below", "clean", "telephone, 8 kHz", "")
"""How each round over the languages is recorded; nothing is clean, too."""
PAUSE_S = 0.3
_LIPS = ("p", "b", "m", "ɓ")
_SLACK_S = 0.005
_LEAST_SPREAD = 0.05
_PENALTY = 3e-3
_STEPS = 60


def lips(write: bool) -> Iterator[str]:
    """Lines to print.

    Args:
        write: put the weights where they ship from.
    """
    try:
        voice = Espeak()
    except OSError:
        yield "libespeak-ng is not on this machine: install the package espeak-ng"
        return
    talks = [
        _talk(voice, name, n, turn) for n, name in enumerate(LESSONS) for turn in range(len(ROUNDS))
    ]
    x, y = (torch.cat(parts) for parts in zip(*talks, strict=True))
    mean, spread = x.mean(0), x.std(0).clamp(min=_LEAST_SPREAD)
    weights, bias = _logistic((x - mean) / spread, y)
    weights = weights / spread
    bias = bias - float(weights @ mean)
    yield f"{len(y) / FRAMES:.0f} s, lips closed {float(y.mean()):.3f} of the time"
    if write:
        kept = {"weights": [round(w, 5) for w in weights.tolist()], "bias": round(bias, 4)}
        FILE.write_text(json.dumps(kept) + "\n", encoding="utf-8")
        yield f"written to {FILE.name}"


def _talk(voice: Espeak, name: str, n: int, turn: int) -> tuple[Tensor, Tensor]:
    """Inner outputs (S, 288), and where lips are closed (S,)."""
    parts: list[Tensor] = []
    shut: list[tuple[float, float]] = []
    at = 0.0
    for i, text in enumerate(LESSONS[name]):
        variant, speed, pitch = VOICES[(n + 2 * i + 3 * turn) % len(VOICES)]
        said = voice.say(name + variant, text, speed + 5 * ((n + turn) % 5), pitch)
        shut += [(a + at, b + at) for ipa, a, b in said.phones if ipa[:1] in _LIPS and b > a]
        parts += [said.samples, torch.zeros(int(PAUSE_S * RATE))]
        at += said.samples.numel() / RATE + PAUSE_S
    samples = torch.cat(parts)
    samples = RECORDINGS.get(ROUNDS[turn], RECORDINGS["clean"])(samples)
    _, level = hear(samples)
    heard = network()((samples * 10 ** (lift(level) / 20)).clamp(-1, 1))
    x = torch.cat([heard.hidden[layer] for layer in LAYERS], 1)
    times = torch.arange(len(x)) / FRAMES
    y = torch.zeros(len(x))
    for start, end in shut:
        y[(times >= start - _SLACK_S) & (times <= end + _SLACK_S)] = 1
    return x, y


def _logistic(x: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """Logistic regression with a penalty on the squared weights."""
    weights = torch.zeros(x.shape[1], requires_grad=True)
    bias = torch.tensor(0.0, requires_grad=True)
    search = torch.optim.LBFGS([weights, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        found = F.binary_cross_entropy_with_logits(x @ weights + bias, y)
        found = found + _PENALTY * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), float(bias.detach())
