"""Phones of a speech whose words are known, by forced alignment; English only."""

from __future__ import annotations

import re

from torch import Tensor

from pipeline.speech.grid import STEP_RATE
from pipeline.speech.phones import SILENCE, PhoneSpan, merge
from pipeline.speech.sphinx import FRAME_DELAY, model_path, new_decoder, pcm, run

LONGEST_S = 120
"""Longer speeches are recognised instead: alignment keeps the states of every frame."""
_WORD = re.compile(r"[a-z']+")
_FOREIGN = re.compile(r"[^\x00-\x7f‘’“”–—…]|\d")


def align(samples: Tensor, level: Tensor, transcript: str) -> list[PhoneSpan] | None:
    """Phones of the transcript where they are spoken.

    Args:
        samples: (N,) at 16 kHz.
        level: (T,) dB.
        transcript: English text without digits; anything else is not aligned.

    Returns:
        Spans that cover the sound, or None where the text does not fit the sound, has a word that
        the dictionary lacks, or the sound is longer than 120 s: the caller recognises instead.
    """
    words = _words(transcript)
    if not words or level.numel() > LONGEST_S * STEP_RATE or float(level.max()) < -60.0:
        return None
    decoder = new_decoder(dict=str(model_path() / "cmudict-en-us.dict"))
    if any(decoder.lookup_word(word) is None for word in words):
        return None
    sound = pcm(samples, 0, level.numel())
    try:
        decoder.set_align_text(" ".join(words))
        run(decoder, sound)
        decoder.set_alignment()
        run(decoder, sound)
        found = [(p.name, p.start, p.duration) for word in decoder.get_alignment() for p in word]
    except (RuntimeError, TypeError):  # TypeError: no alignment was found
        return None
    return _spans(found, level.numel() / STEP_RATE)


def _words(transcript: str) -> list[str]:
    if _FOREIGN.search(transcript):
        return []
    return _WORD.findall(transcript.lower().replace("’", "'"))


def _spans(found: list[tuple[str, int, int]], last: float) -> list[PhoneSpan] | None:
    spans: list[PhoneSpan] = []
    begin = 0.0
    for n, (name, start, duration) in enumerate(found):
        stop = (start + duration) / STEP_RATE + FRAME_DELAY
        stop = last if n == len(found) - 1 else min(last, stop)
        if stop > begin:
            spans.append(PhoneSpan(SILENCE if name.startswith(("SIL", "+")) else name, begin, stop))
            begin = stop
    return merge(spans) or None
