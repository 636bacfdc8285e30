"""Phones of a speech in any language, by the network of `pipeline.speech.conformer`.

The network works on the blocks of `pipeline.speech.phones.blocks`: memory stays flat. It names a
phone once, on one of its frames (CTC: Graves et al., ICML 2006); where phones begin and end is
taken from where their kind is named: stops and nasals at their end, vowels before their middle.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.speech.activity import lift
from pipeline.speech.conformer import RATE, WIDTH, Conformer, network
from pipeline.speech.grid import HOP, STEP_RATE
from pipeline.speech.ipa import phone
from pipeline.speech.lip_probe import CLOSED, OPEN, LipOdds, lip_reading
from pipeline.speech.phones import SILENCE, PhoneSpan, blocks, merge
from pipeline.speech.visemes import LIP_TO_TEETH, LIPS_CLOSED, VOWELS

LAYERS = (1, 3)
"""Blocks whose outputs a person's own fit reads: nearer to the sound, nearer to the phone."""
_QUIET_DB = -90.0
"""A block without a step above this is silence."""
_LEAST = 50
"""Steps that a block is filled up to."""
_SHUT_LEAST = 0.08
"""Probability from which closed lips count although another phone is likelier. A closure that is
missed is seen at once, one too many hardly; measured lips were closed at four of five of them."""
_APART = 3
"""Frames between two closures."""
_BELIEVED = 4
"""Frames around a p, b, m, f or v within which the inner blocks must agree once."""
_AMONG = 12
"""Frames from a phone of whatever kind within which the inner blocks may close the lips."""
_NARROW = LIPS_CLOSED | {"W"}
"""Phones whose lips are together anyhow, or nearly: no closure is put beside them."""
_LATE_S = {"P": 0.02, "B": 0.03, "M": 0.04, "T": 0.02, "D": 0.03, "K": 0.02, "G": 0.03}
_VOWEL_EARLY_S = 0.02
_LONGEST_S = 0.25
"""A phone reaches no further from its centre, unless it is held."""
_HELD_S = 0.70
"""In a longer gap without a phone nobody speaks, whatever is heard."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What the network heard."""

    phones: list[PhoneSpan]
    """In order, covering the sound; silence is where no phone was heard for long."""
    hidden: Tensor
    """(288, S) float16, 50 a second."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A phone and the instant at which its middle is."""

    name: str
    centre: float


def recognise(samples: Tensor, level: Tensor, stop: threading.Event | None = None) -> Recognition:
    """Recognise a whole sound.

    Args:
        samples: (N,) float at 16 kHz.
        level: (T,) dB of `pipeline.speech.mel.hear`.
        stop: when set, nothing more is recognised: for a caller that gave up.

    Raises:
        WeightsMissing: the package that carries the network is not there.
    """
    net = network()
    gain = 10 ** (lift(level) / 20)
    named: list[_Named] = []
    hidden = torch.zeros(len(LAYERS) * WIDTH, -(-level.numel() // 2), dtype=torch.float16)
    for first, last in blocks(level):
        if stop is not None and stop.is_set():
            break
        found, outputs = _block(net, samples, level, (first, last), gain)
        named.extend(found)
        begin = -(-first // 2)
        hidden[:, begin : begin + outputs.shape[1]] = outputs
    return Recognition(spans(named, level.numel() / STEP_RATE), hidden)


def _block(
    net: Conformer, samples: Tensor, level: Tensor, steps: tuple[int, int], gain: float
) -> tuple[list[_Named], Tensor]:
    """Phones and hidden outputs of a block, whose frames begin at its start."""
    first, last = steps
    frames = -(-last // 2) - -(-first // 2)  # frames lie on every second step
    start = -(-first // 2) * 2
    if float(level[first:last].max()) < _QUIET_DB:
        return [], torch.zeros(len(LAYERS) * WIDTH, frames, dtype=torch.float16)
    piece = samples[start * HOP : last * HOP].detach().cpu().float() * gain
    piece = torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0).clamp(-1, 1)
    piece = F.pad(piece, (0, max(0, max(_LEAST, frames * 2) * HOP - piece.numel())))
    heard = net(piece)
    outputs = torch.cat([heard.hidden[layer] for layer in LAYERS], 1)[:frames]
    odds = lip_reading()(torch.cat(heard.hidden, 1)[:frames])
    at = start / STEP_RATE
    named = _decode(heard.log_probs[:frames], net.tokens)
    middles = [_middle(name, at + frame / RATE) for frame, name in named]
    return _reread(middles, odds, at), outputs.T.half()


def _middle(name: str, at: float) -> _Named:
    late = -_VOWEL_EARLY_S if name in VOWELS else _LATE_S.get(name, 0.0)
    return _Named(name, at - late)


def _decode(log_probs: Tensor, tokens: tuple[str, ...]) -> list[tuple[int, str]]:
    """Frames and names of the phones: the likeliest, and closed lips where they are likely."""
    best = log_probs.argmax(1).tolist()
    named: dict[int, str] = {}
    before = -1
    for frame, token in enumerate(best):
        if token != before and (name := phone(tokens[token])):
            named[frame] = name
        before = token
    for frame, name in _shut(log_probs, tokens):
        near = range(frame - _APART, frame + _APART + 1)
        if any(named.get(n) in LIPS_CLOSED for n in near):
            continue
        for n in range(frame - 1, frame + 2):
            named.pop(n, None)
        named[frame] = name
    return sorted(named.items())


def _shut(log_probs: Tensor, tokens: tuple[str, ...]) -> list[tuple[int, str]]:
    """Frames at which closed lips are likely, and their phone."""
    kinds = _closing(tokens)
    each = torch.stack([log_probs[:, list(at)].exp().sum(1) for at in kinds.values()])
    shut = each.sum(0)
    top = _most(shut, _APART)
    names = list(kinds)
    frames = torch.nonzero((shut >= _SHUT_LEAST) & (shut >= top)).flatten().tolist()
    return [(frame, names[int(each[:, frame].argmax())]) for frame in frames]


def _reread(named: list[_Named], odds: LipOdds, start: float) -> list[_Named]:
    """Phones after the second vote on closed lips.

    Closures that the inner blocks deny are left out, lips on teeth too, and those that they are
    sure of put in: as b, in place of what was named at that very moment, and only among other
    phones.

    Args:
        odds: of `pipeline.speech.lip_probe.LipReading`.
        start: seconds of its first frame.
    """
    shut = _most(odds.closed, _BELIEVED)
    near = {
        **dict.fromkeys(LIPS_CLOSED, shut),
        **dict.fromkeys(LIP_TO_TEETH, torch.maximum(shut, _most(odds.teeth, _BELIEVED))),
    }

    def believed(one: _Named) -> bool:
        frame = min(max(round((one.centre - start) * RATE), 0), len(shut) - 1)
        return one.name not in near or float(near[one.name][frame]) >= OPEN

    kept = [one for one in named if believed(one)]
    closed = odds.closed
    top = _most(closed, _APART)
    for frame in torch.nonzero((closed >= CLOSED) & (closed >= top)).flatten().tolist():
        at = start + frame / RATE
        away = [(abs(one.centre - at) * RATE, one) for one in kept]
        if not away or min(far for far, _ in away) > _AMONG:
            continue
        if any(far <= _APART + 0.5 and one.name in _NARROW for far, one in away):
            continue
        kept = [one for far, one in away if far > 1 or one.name in VOWELS]
        kept.append(_Named("B", at))
    return sorted(kept, key=lambda one: one.centre)


def _most(values: Tensor, reach: int) -> Tensor:
    """The highest of (S,) values within so many frames of each."""
    return F.max_pool1d(values[None, None], 2 * reach + 1, 1, reach)[0, 0]


@lru_cache(maxsize=1)
def _closing(tokens: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The tokens of each phone that closes the lips."""
    return {
        name: tuple(n for n, token in enumerate(tokens) if phone(token) == name)
        for name in sorted(LIPS_CLOSED)
    }


def spans(named: Iterable[_Named], end: float) -> list[PhoneSpan]:
    """Phones with beginnings and ends, from their middles; the last ends at second `end`."""
    known = sorted(named, key=lambda one: one.centre)
    if not known:
        return [PhoneSpan(SILENCE, 0.0, max(end, 1 / STEP_RATE))]
    out: list[PhoneSpan] = []
    begin = max(0.0, known[0].centre - _LONGEST_S)
    if begin > 0:
        out.append(PhoneSpan(SILENCE, 0.0, begin))
    for here, after in pairwise([*known, _Named(SILENCE, math.inf)]):
        stop, resume = _between(here.centre, after.centre)
        stop, resume = min(stop, end), min(resume, end)
        if stop > begin:
            out.append(PhoneSpan(here.name, begin, stop))
            begin = stop
        if resume > begin:
            out.append(PhoneSpan(SILENCE, begin, resume))
            begin = resume
    if begin < end:
        out.append(PhoneSpan(SILENCE, begin, end))
    return merge(out)


def _between(here: float, after: float) -> tuple[float, float]:
    """Where a phone ends and where the next begins."""
    if after - here <= _HELD_S:
        middle = (here + after) / 2
        return middle, middle
    return here + _LONGEST_S, after - _LONGEST_S
