"""Everything that is said to teach the reading of closed lips, by voice."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from tests.bench import festival, flite, made_up
from tests.bench.espeak import Espeak, Said
from tests.bench.lessons import ENGLISH, LESSONS

VARIANTS = ("", "+f2", "+m3", "+f4", "+m7", "+f5", "+m1", "+m5", "+f1")
"""Of the voices of espeak-ng."""
LATIN = ("nl", "sv", "hu", "ro", "cs", "ca", "pt", "da", "et", "lv", "sk", "hr", "sl", "eu")
"""Languages whose voices read made-up words."""
W_LIKE = (
    *("cy", "haw", "mi", "gn", "ht", "en-gb", "en-gb-scotland", "en-gb-x-rp"),
    *("eo", "nl", "sq", "lfn"),
)
"""Languages that have a w, or what is spelt like one, with other lips than a b."""
BRITISH = ("en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbcwmd")
"""Voices of the English sentences; the benchmark's own is American."""
AS_SAID = "as it was said"
RECORDINGS = (
    AS_SAID,
    "clean",
    "telephone, 8 kHz",
    "white noise 20 dB below",
    "white noise 10 dB below",
    "music 15 dB below",
    "room",
    "room, telephone",
)
"""How it is recorded; all but the first also a little faster and higher, or slower and lower."""
_LATIN_TURNS, _W_TURNS, _BRITISH_TURNS = 5, 6, 3
_SENTENCES = 5
_PLAIN_OF_PEOPLE, _W_OF_PEOPLE, _W_OF_FLITE = 8, 6, 14


@dataclass(frozen=True, slots=True)
class Taught:
    """Sentences of one voice, to be recorded together."""

    voice: str
    group: str
    said: list[Said]
    recordings: tuple[str, ...]
    """Each of them is taught."""


def taught(voice: Espeak) -> Iterator[Taught]:
    """All of it; what festival and flite say only where they are installed."""
    chance = random.Random(3)
    yield from _lessons(voice, chance)
    for turns, group, names, words in (
        (_LATIN_TURNS, "made up", LATIN, made_up.plain),
        (_W_TURNS, "w", W_LIKE, made_up.with_w),
    ):
        for name, turn in product(names, range(turns)):
            texts = [words(chance) for _ in range(_SENTENCES)]
            yield Taught(name, group, _say(voice, name, texts, chance), _recording(turn, chance))
    for name, turn in product(BRITISH, range(_BRITISH_TURNS)):
        said = _say(voice, name, ENGLISH, chance)
        yield Taught(name, "English", said, _recording(turn, chance))
    if festival.there():
        yield from _festival(chance)
    if flite.there():
        yield from _flite(chance)


def _lessons(voice: Espeak, chance: random.Random) -> Iterator[Taught]:
    for (name, texts), recording in product(LESSONS.items(), RECORDINGS):
        yield Taught(name, "lesson", _say(voice, name, texts, chance), (recording,))


def _festival(chance: random.Random) -> Iterator[Taught]:
    for name, (language, encoding) in festival.TAUGHT.items():
        texts = [*LESSONS[language]]
        texts += [made_up.plain(chance) for _ in range(_PLAIN_OF_PEOPLE)]
        texts += [made_up.with_u(chance) for _ in range(_W_OF_PEOPLE)]
        said = [one for text in texts if (one := festival.say(name, encoding, text))]
        if said:
            yield Taught(name, "people", said, RECORDINGS)


def _flite(chance: random.Random) -> Iterator[Taught]:
    for name in flite.TAUGHT:
        texts = [*ENGLISH, *(made_up.with_w(chance) for _ in range(_W_OF_FLITE))]
        yield Taught(name, "people", [flite.say(name, text) for text in texts], RECORDINGS)


def _say(voice: Espeak, name: str, texts: Iterable[str], chance: random.Random) -> list[Said]:
    """Each by another variant of the voice, at another speed and pitch."""
    said = []
    for text in texts:
        speed, pitch = chance.randrange(135, 220), chance.randrange(30, 75)
        said.append(voice.say(name + chance.choice(VARIANTS), text, speed, pitch))
    return said


def _recording(turn: int, chance: random.Random) -> tuple[str, ...]:
    return (chance.choice(RECORDINGS[1:]) if turn else AS_SAID,)
