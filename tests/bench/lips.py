"""Teach `pipeline.speech.lip_probe` to read closed lips, on speech whose phones are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from safetensors.torch import save_file

from pipeline.speech.conformer import RATE as FRAMES
from pipeline.speech.lip_probe import FILE, LipReading
from tests.bench.espeak import Espeak
from tests.bench.lip_lessons import lessons
from tests.bench.lips_fit import fit
from tests.bench.lips_folds import folds


def lips(write: bool, compare: bool) -> Iterator[str]:
    """Lines to print.

    Args:
        write: put the weights where they ship from.
        compare: thresholds, on voices that are held out in turn, instead.
    """
    try:
        voice = Espeak()
    except OSError:
        yield "libespeak-ng is not on this machine: install the package espeak-ng"
        return
    all_lessons = list(lessons(voice))
    seconds = sum(len(one.kinds) for one in all_lessons) / FRAMES
    yield f"{seconds:.0f} s by {len({one.voice for one in all_lessons})} voices"
    if compare:
        yield from folds(all_lessons)
        return
    reading = fit((one.inner, one.kinds) for one in all_lessons)
    if write:
        kept = {one.name: getattr(reading, one.name).half() for one in fields(LipReading)}
        save_file(kept, FILE)
        yield f"written to {FILE.name}"
