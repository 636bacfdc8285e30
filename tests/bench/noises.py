"""How near the plan of a noisy speech is to that of the clean one, noise taken out or left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from pipeline.reading.audio import Speech, load_speech
from pipeline.speech import perception
from pipeline.speech.grid import STEP_RATE
from pipeline.speech.mouth import MouthCurve, plan_mouth
from pipeline.types import Limits
from tests.bench import clips
from tests.pipeline.speech.noises import NOISES, agreement, mixed
from tests.pipeline.speech.sounds import RATE

BELOW_DB = (10, 3)
SECONDS = 8
SHUT = 0.15
_NEAR_S, _SLACK_S = 0.08, 0.03
_TALKERS = 6
"""Who talk behind the speaker, of the other speeches."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """A noisy speech's plan beside the clean one's."""

    r: float
    opening: float
    """Mean opening where the clean plan speaks, as a share of the clean one's."""
    told: float
    """Share of the time at which both say alike whether somebody speaks."""
    kept: float
    """Of the clean plan's closures."""
    false: float
    """Closures a second that the clean plan has not."""


def noises(paths: Sequence[Path] = ()) -> Iterator[str]:
    """Lines of a Markdown table.

    Args:
        paths: speeches; without them the demo's and the sounds of `F2F_MEDIA`.
    """
    torch.set_num_threads(1)
    found = paths or [clips.speech(), *_of_media()]
    heard = [load_speech(path, Limits()).samples[: SECONDS * RATE] for path in found]
    yield f"{len(heard)} speeches of at most {SECONDS} s; as it came → as it is heard"
    yield ""
    yield "| noise | dB below | taken out | r | opening | speech told | closures kept | false/s |"
    yield "|-|-|-|-|-|-|-|-|"
    clean = [_as_it_came(words) for words in heard]
    for kind in [*NOISES, *(["voices"] if len(heard) > _TALKERS else [])]:
        for below in BELOW_DB:
            yield _row(kind, below, heard, clean)


def _of_media() -> list[Path]:
    folder = os.environ.get("F2F_MEDIA")
    return sorted(Path(folder).glob("*.wav")) if folder else []


def _row(kind: str, below: int, heard: Sequence[Tensor], clean: Sequence[MouthCurve]) -> str:
    taken = 0
    before: list[Nearness] = []
    after: list[Nearness] = []
    for n, words in enumerate(heard):
        other = voices(heard, n) if kind == "voices" else NOISES[kind](words)
        sound = mixed(words, other, below)
        came, plan = _as_it_came(sound), _plan(sound)
        taken += not torch.equal(plan.capped, came.capped)
        before.append(nearness(came, clean[n]))
        after.append(nearness(plan, clean[n]))
    cells = [f"{a:.2f} → {b:.2f}" for a, b in zip(_means(before), _means(after), strict=True)]
    return f"| {kind} | {below} | {taken} of {len(heard)} | {' | '.join(cells)} |"


def _means(rows: Sequence[Nearness]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*map(astuple, rows), strict=True)]


def voices(heard: Sequence[Tensor], speaker: int) -> Tensor:
    """Others talking at once, as long as the speaker's words."""
    others = [words for n, words in enumerate(heard) if n != speaker][:_TALKERS]
    length = len(heard[speaker])
    rolled = [words.roll(n * RATE) / words.std() for n, words in enumerate(others)]
    return torch.stack([one.repeat(-(-length // len(one)))[:length] for one in rolled]).sum(0)


def nearness(plan: MouthCurve, clean: MouthCurve) -> Nearness:
    """Compare a plan with the clean speech's."""
    talking = clean.rest < 0.5
    shut, theirs = _shut(clean), _shut(plan)
    kept = [bool(plan.capped[_around(at, len(plan.capped))].min() < SHUT) for at in shut]
    false = [at for at in theirs if not any(abs(at - other) <= _NEAR_S for other in shut)]
    return Nearness(
        r=agreement(plan, clean),
        opening=float(plan.capped[talking].mean() / clean.capped[talking].mean()),
        told=float(((plan.rest < 0.5) == talking).float().mean()),
        kept=sum(kept) / max(1, len(kept)),
        false=len(false) / clean.duration,
    )


def _shut(plan: MouthCurve) -> list[float]:
    return [(one.start + one.end) / 2 for one in plan.closures if one.cap == 0]


def _around(at: float, total: int) -> slice:
    first = max(0, round((at - _SLACK_S) * STEP_RATE))
    return slice(min(first, total - 1), round((at + _SLACK_S) * STEP_RATE) + 1)


def _as_it_came(samples: Tensor) -> MouthCurve:
    with mock.patch.object(perception, "noisy", return_value=False):
        return _plan(samples)


def _plan(samples: Tensor) -> MouthCurve:
    return plan_mouth(Speech(samples, Fraction(len(samples), RATE)))
