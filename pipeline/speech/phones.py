"""Phones of a speech, by pocketsphinx's phone loop and the US English model that its wheel carries.

The recogniser works on blocks of 10 to 20 s that are cut where the sound is quietest: memory stays
flat, and a block that it cannot decode costs that block alone. On other languages it hears the
nearest English phones, which is what a mouth needs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.speech import sphinx
from pipeline.speech.grid import HOP, RATE, STEP_RATE

SILENCE = "SIL"
NEUTRAL = "SPN"
"""Speech that the recogniser could not name: a neutral vowel."""
_FILLERS = {"+SPN+": NEUTRAL, "+NSN+": NEUTRAL, "<s>": SILENCE, "</s>": SILENCE, "<sil>": SILENCE}
_SHORTEST, _LONGEST = 10 * STEP_RATE, 20 * STEP_RATE
_LEAST = 10
"""Steps below which there is nothing to decode."""
FRAME_DELAY = 0.008
"""Seconds from its frame boundaries to our grid: its 25.6 ms windows start there."""


@dataclass(frozen=True, slots=True)
class PhoneSpan:
    """One phone."""

    name: str
    """ARPAbet without stress, as in CMUdict, or `SIL`, or `SPN` for speech without a name."""
    start: float
    """Seconds."""
    end: float

    @property
    def centre(self) -> float:
        """Seconds."""
        return (self.start + self.end) / 2

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


def recognise(
    samples: Tensor, level: Tensor, stop: threading.Event | None = None
) -> list[PhoneSpan]:
    """The phones of a whole sound, in order, without gaps.

    Args:
        samples: (N,) float at 16 kHz.
        level: (T,) dB of `pipeline.speech.mel.hear`.
        stop: when set, nothing more is recognised: for a caller that gave up.

    Returns:
        Spans that cover the sound. A block that cannot be decoded is one span of `SPN`.
    """
    spans: list[PhoneSpan] = []
    for first, last in blocks(level):
        if stop is not None and stop.is_set():
            break
        spans.extend(_block(samples, level, first, last))
    return merge(spans)


def blocks(level: Tensor) -> Iterator[tuple[int, int]]:
    """Half-open step ranges of at most 20 s, cut at the quietest 100 ms between 10 and 20 s.

    Args:
        level: (T,) dB below full scale.
    """
    total, start = level.numel(), 0
    while total - start > _LONGEST:
        window = level[start + _SHORTEST : start + _LONGEST]
        smooth = window.unfold(0, 10, 1).mean(1)
        cut = start + _SHORTEST + int(smooth.argmin()) + 5
        yield start, cut
        start = cut
    yield start, total


def _block(samples: Tensor, level: Tensor, start: int, stop: int) -> list[PhoneSpan]:
    first, last = start / STEP_RATE, stop / STEP_RATE
    heard = level[start:stop]
    if stop - start < _LEAST or float(heard.max()) < -65.0:
        name = SILENCE if float(heard.max()) < -50.0 else NEUTRAL
        return [PhoneSpan(name, first, last)]
    found = _decode(pcm(samples, start, stop))
    if not found:
        return [PhoneSpan(NEUTRAL, first, last)]
    return list(_shifted(found, first, last))


def pcm(samples: Tensor, start: int, stop: int) -> bytes:
    """16-bit little-endian samples of a step range, for the recogniser.

    Args:
        samples: (N,) float at 16 kHz, -1 to 1.
    """
    piece = samples[start * HOP : stop * HOP].detach().cpu().float()
    piece = torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0).clamp(-1, 1)
    data: bytes = (piece * 32767).round().to(torch.int16).numpy().astype("<i2").tobytes()
    return data


def model_path() -> Path:
    """The folder of the model inside pocketsphinx's wheel."""
    import pocketsphinx

    return Path(pocketsphinx.get_model_path()) / "en-us"


@lru_cache(maxsize=1)
def _settings() -> dict[str, Any]:
    model = model_path()
    return {
        "hmm": str(model / "en-us"),
        "allphone": str(model / "en-us-phone.lm.bin"),
        "lm": None,
        "dict": None,
        "beam": 1e-20,
        "pbeam": 1e-20,
        "lw": 2.0,
        "samprate": RATE,
        "loglevel": "FATAL",
    }


def _decode(sound: bytes) -> list[sphinx.Segment]:
    """Segments of one block; nothing where the recogniser gives up.

    A fresh decoder for each block: its normalisation adapts, and the result must depend on the
    block alone. Loading takes 25 ms.
    """
    return sphinx.decode(_settings(), sound)


def _shifted(
    found: Iterable[tuple[str, int, int]], first: float, last: float
) -> Iterator[PhoneSpan]:
    """Frames of one block as seconds of the whole sound, stretched to cover the block."""
    begin = first
    names = [(_FILLERS.get(name, name.strip("+")), end) for name, _, end in found]
    for n, (name, end) in enumerate(names):
        stop = min(last, first + (end + 1) / STEP_RATE + FRAME_DELAY)
        if n == len(names) - 1:
            stop = last
        if stop > begin:
            yield PhoneSpan(name, begin, stop)
            begin = stop


def merge(spans: Iterable[PhoneSpan]) -> list[PhoneSpan]:
    """Join neighbours of the same filler or silence; phones stay apart."""
    out: list[PhoneSpan] = []
    for span in spans:
        if out and out[-1].name == span.name and span.name in (SILENCE, NEUTRAL):
            out[-1] = PhoneSpan(span.name, out[-1].start, span.end)
        else:
            out.append(span)
    return out


def labels(spans: list[PhoneSpan], total: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Index into `spans` for each step, (T,); steps beyond the last span take the last."""
    ends = np.array([span.end for span in spans])
    at = np.arange(total) / STEP_RATE
    return np.minimum(np.searchsorted(ends, at, side="right"), len(spans) - 1)


def agree(ours: list[PhoneSpan], theirs: list[PhoneSpan], total: int) -> float:
    """Share of the time, silence by `theirs` left out, at which both name the same phone."""
    a = np.array([span.name for span in ours])[labels(ours, total)]
    b = np.array([span.name for span in theirs])[labels(theirs, total)]
    spoken = b != SILENCE
    return float((a == b)[spoken].mean()) if spoken.any() else 0.0
