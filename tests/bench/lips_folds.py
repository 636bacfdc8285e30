"""From which odds lips are closed, told by voices that a reading was not taught on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from unittest.mock import patch

from pipeline.speech import recogniser
from pipeline.speech.lip_probe import LipReading
from tests.bench.closures import HEAD, RECORDINGS, Count, count, hear
from tests.bench.espeak import RATE, Said
from tests.bench.lip_lessons import Lesson
from tests.bench.lips_fit import fit
from tests.bench.teachers import AS_SAID

CLOSED, OPEN = (-1.6, -1.2, -0.8, -0.3), (-2.2, -1.5, -0.8)
"""Log-odds that are compared."""
HEARD = ("clean", "telephone, 8 kHz", "white noise 10 dB below")
GROUPS = ("lesson", "people", "w")
_FOLDS = 3
_LONGEST_S = 30.0


def folds(lessons: Sequence[Lesson]) -> Iterator[str]:
    """Lines of a Markdown table: what each pair of thresholds gives on the voices held out."""
    voices = sorted({one.voice for one in lessons})
    found: dict[tuple[str, str, float, float], Count] = {}
    for fold in range(_FOLDS):
        out = set(voices[fold::_FOLDS])
        reading = fit((one.inner, one.kinds) for one in lessons if one.voice not in out)
        for one in lessons:
            if one.voice in out and one.group in GROUPS and one.recording == AS_SAID:
                _count(one, reading, found)
    yield f"| speech | closed from | open below | {HEAD} |"
    yield "|" + "-|" * 7
    for (group, heard, closed, opened), total in sorted(found.items()):
        yield f"| {group}, {heard} | {closed} | {opened} | {total.cells()} |"


def _count(
    one: Lesson, reading: LipReading, found: dict[tuple[str, str, float, float], Count]
) -> None:
    said = _begin(one.said)
    for heard, closed, opened in product(HEARD, CLOSED, OPEN):
        samples = RECORDINGS[heard](said.samples)
        with (
            patch.object(recogniser, "lip_reading", lambda: reading),
            patch.object(recogniser, "CLOSED", closed),
            patch.object(recogniser, "OPEN", opened),
        ):
            counted = count(hear(samples), said)
        found.setdefault((one.group, heard, closed, opened), Count()).add(counted)


def _begin(said: Said) -> Said:
    phones = [phone for phone in said.phones if phone[2] < _LONGEST_S]
    return Said(said.samples[: round(_LONGEST_S * RATE)], phones)
