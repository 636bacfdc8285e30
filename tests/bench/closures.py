"""Are the lips shut where somebody says p, b or m, in any language and on any recording?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from pipeline.reading.audio import Speech
from pipeline.runs import true_runs
from pipeline.speech.grid import STEP_RATE
from pipeline.speech.mouth import Hearing, listen, plan_heard
from pipeline.speech.sphinx import recognise
from tests.bench import festival, flite
from tests.bench.espeak import RATE, Espeak, Said
from tests.bench.sentences import SENTENCES

SHUT = 0.15
"""Share of the speaker's range below which lips count as closed."""
VARIANTS = ("", "+f2", "+m3", "+f4")
SPEEDS, PITCHES = (140, 165, 190, 215, 155), (50, 40, 60, 35, 70)
PAUSE_S = 0.5
HEAD = "p/b/m shut | true closures | false/s | pauses at rest"
_SLACK_S, _NEAR_S = 0.02, 0.04
LIPS, TEETH = ("p", "b", "m", "ɓ"), ("f", "v", "ɸ", "β", "ʋ", "ɱ")


@dataclass(slots=True)
class Count:
    """What was asked for, and what the mouth did."""

    spans: int = 0
    shut: int = 0
    closures: int = 0
    false: int = 0
    pauses: int = 0
    rested: int = 0
    seconds: float = 0.0

    def add(self, other: Count) -> None:
        """Sum."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def cells(self) -> str:
        """Recall, share of the closures that are true, false ones a second, pauses at rest."""
        return (
            f"{self.shut}/{self.spans} ({self.shut / max(1, self.spans):.2f}) | "
            f"{1 - self.false / max(1, self.closures):.2f} | {self.false / self.seconds:.2f} | "
            f"{self.rested}/{self.pauses}"
        )


def closures() -> Iterator[str]:
    """Lines of Markdown tables: by language, by recording, and by voices cut from people."""
    try:
        voice = Espeak()
    except OSError:
        yield "libespeak-ng is not on this machine: install the package espeak-ng"
        return
    talks = {name: _talk(voice, name) for name in SENTENCES}
    yield f"| language | pocketsphinx: {HEAD} | network: {HEAD} |"
    yield "|" + "-|" * 9
    old, new = Count(), Count()
    for name, said in talks.items():
        heard = hear(said.samples)
        before, after = count(_english(heard, said.samples), said), count(heard, said)
        old.add(before)
        new.add(after)
        yield f"| {name} | {before.cells()} | {after.cells()} |"
    yield f"| all | {old.cells()} | {new.cells()} |"
    yield ""
    yield f"| recording, all languages | {HEAD} |"
    yield "|" + "-|" * 5
    for label, spoil in RECORDINGS.items():
        total = Count()
        for said in talks.values():
            total.add(count(hear(spoil(said.samples)), said))
        yield f"| {label} | {total.cells()} |"
    yield from _people()


def _people() -> Iterator[str]:
    """The same for voices that were cut from recordings of people."""
    talks = dict(_cut_from_people())
    if not talks:
        return
    yield ""
    yield f"| voice of festival or flite | {HEAD} |"
    yield "|" + "-|" * 5
    for label in ("clean", "telephone, 8 kHz", "white noise 10 dB below"):
        total = Count()
        for name, talk in talks.items():
            counted = count(hear(RECORDINGS[label](talk.samples)), talk)
            total.add(counted)
            if label == "clean":
                yield f"| {name} | {counted.cells()} |"
        yield f"| all, {label} | {total.cells()} |"


def _cut_from_people() -> Iterator[tuple[str, Said]]:
    if festival.there():
        for name, (language, encoding) in festival.HELD_OUT.items():
            said = [festival.say(name, encoding, text) for text in SENTENCES[language]]
            if known := [one for one in said if one]:
                yield name, _joined(known)
    if flite.there():
        for name in flite.HELD_OUT:
            yield name, _joined(flite.say(name, text) for text in SENTENCES["en-us"])


def _talk(voice: Espeak, name: str) -> Said:
    """The sentences of a language by several voices, with pauses."""
    return _joined(
        voice.say(name + VARIANTS[n % len(VARIANTS)], text, SPEEDS[n], PITCHES[n])
        for n, text in enumerate(SENTENCES[name])
    )


def _joined(sentences: Iterable[Said]) -> Said:
    """One after the other, with pauses."""
    parts: list[Tensor] = []
    phones: list[tuple[str, float, float]] = []
    at = 0.0
    for said in sentences:
        phones += [(ipa, start + at, end + at) for ipa, start, end in said.phones]
        pause = torch.zeros(int(PAUSE_S * RATE))
        parts += [said.samples, pause]
        at += (said.samples.numel() + pause.numel()) / RATE
        phones.append(("#", at - PAUSE_S, at))
    return Said(torch.cat(parts), phones)


def hear(samples: Tensor) -> Hearing:
    """What the pipeline hears in it."""
    return listen(Speech(samples, Fraction(samples.numel(), RATE)))


def _english(heard: Hearing, samples: Tensor) -> Hearing:
    """The same with the phones of the US English recogniser."""
    return replace(heard, phones=recognise(samples, heard.level))


def count(heard: Hearing, said: Said) -> Count:
    """How the mouth of a speech fits what was said."""
    curve = plan_heard(heard)
    opening = curve.capped * (1 - curve.rest)
    total = opening.numel()

    def least(start: float, end: float) -> float:
        first = max(0, round(start * STEP_RATE))
        return float(opening[first : round(end * STEP_RATE) + 1].min())

    def named(kinds: tuple[str, ...]) -> list[tuple[float, float]]:
        return [(a, b) for ipa, a, b in said.phones if ipa[:1] in kinds and b > a]

    shut = named(LIPS)
    allowed = torch.zeros(total, dtype=torch.bool)
    silent = [(a, b) for ipa, a, b in said.phones if ipa in ("", "#", "_", ":") and b - a > 0.06]
    for start, end in [*shut, *named(TEETH), *silent]:
        first = max(0, round((start - _NEAR_S) * STEP_RATE))
        allowed[first : round((end + _NEAR_S) * STEP_RATE) + 1] = True
    asked = true_runs(curve.cap < SHUT)
    pauses = named(("#",))
    return Count(
        spans=len(shut),
        shut=sum(least(a - _SLACK_S, b + _SLACK_S) < SHUT for a, b in shut),
        closures=len(asked),
        false=sum(not bool(allowed[a:b].any()) for a, b in asked),
        pauses=len(pauses),
        rested=sum(_rests(opening, a, b) for a, b in pauses),
        seconds=total / STEP_RATE,
    )


def _rests(opening: Tensor, start: float, end: float) -> bool:
    """At rest in the middle of a pause, 200 ms off its ends."""
    inside = opening[round((start + 0.2) * STEP_RATE) : round((end - 0.2) * STEP_RATE)]
    return bool((inside < SHUT).all())


def _noise(samples: Tensor, below_db: float) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return samples + _level(samples, below_db) * torch.randn(samples.numel(), generator=generator)


def _music(samples: Tensor, below_db: float) -> Tensor:
    at = torch.arange(samples.numel(), dtype=torch.float64) / RATE
    beat = (at * 2).floor()
    root = 110.0 * 2 ** ((beat * 5 % 12) / 12)
    chord = sum(torch.sin(2 * torch.pi * root * ratio * at) for ratio in (1.0, 1.25, 1.5, 2.0))
    played = (torch.as_tensor(chord) * (1 - (at * 2) % 1)).float()
    return samples + played / played.square().mean().sqrt() * _level(samples, below_db)


def _level(samples: Tensor, below_db: float) -> float:
    spoken = samples[samples.abs() > 1e-3]
    return float(spoken.square().mean().sqrt()) * 10 ** (-below_db / 20)


def _telephone(samples: Tensor) -> Tensor:
    """8 kHz: nothing below 300 and above 3400 Hz."""
    spectrum = torch.fft.rfft(samples)
    hz = torch.linspace(0, RATE / 2, spectrum.numel())
    spectrum[(hz < 300) | (hz > 3400)] = 0
    out: Tensor = torch.fft.irfft(spectrum, samples.numel())
    return out


RECORDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "clean": lambda x: x,
    "white noise 20 dB below": lambda x: _noise(x, 20),
    "white noise 10 dB below": lambda x: _noise(x, 10),
    "music 15 dB below": lambda x: _music(x, 15),
    "40 dB quieter": lambda x: x * 0.01,
    "clipped, 20 dB too loud": lambda x: (x * 10).clamp(-1, 1),
    "telephone, 8 kHz": _telephone,
    "one silent channel of two": lambda x: x / 2,
}
