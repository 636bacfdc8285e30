"""pocketsphinx: its phone loop, with the US English model that its wheel carries.

It works on the blocks of `pipeline.speech.phones`: memory stays flat, and a block that it cannot
decode costs that block alone. On other languages it hears the nearest English phones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.speech.grid import HOP, RATE, STEP_RATE
from pipeline.speech.phones import NEUTRAL, SILENCE, PhoneSpan, blocks, merge

_FILLERS = {"+SPN+": NEUTRAL, "+NSN+": NEUTRAL, "<s>": SILENCE, "</s>": SILENCE, "<sil>": SILENCE}
_LEAST = 10
"""Steps below which there is nothing to decode."""
FRAME_DELAY = 0.008
"""Seconds from its frame boundaries to our grid: its 25.6 ms windows start there."""


def recognise(samples: Tensor, level: Tensor) -> list[PhoneSpan]:
    """The phones of a whole sound, in order, without gaps.

    Args:
        samples: (N,) float at 16 kHz.
        level: (T,) dB of `pipeline.speech.mel.hear`.

    Returns:
        Spans that cover the sound. A block that cannot be decoded is one span of `SPN`.
    """
    spans: list[PhoneSpan] = []
    for first, last in blocks(level):
        spans.extend(_block(samples, level, first, last))
    return merge(spans)


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
    """16-bit little-endian samples of a step range of (N,) floats at 16 kHz, for the recogniser."""
    piece = samples[start * HOP : stop * HOP].detach().cpu().float()
    piece = torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0).clamp(-1, 1)
    data: bytes = (piece * 32767).round().to(torch.int16).numpy().astype("<i2").tobytes()
    return data


def model_path() -> Path:
    """The folder of the model inside pocketsphinx's wheel."""
    import pocketsphinx

    return Path(pocketsphinx.get_model_path()) / "en-us"


def new_decoder(**settings: Any) -> Any:
    """A decoder with the model's sounds, no language model, and these settings."""
    import pocketsphinx

    hmm = str(model_path() / "en-us")
    return pocketsphinx.Decoder(hmm=hmm, lm=None, loglevel="FATAL", **settings)


def run(decoder: Any, sound: bytes) -> None:
    """Let a decoder hear one utterance of 16-bit samples; raises RuntimeError where it cannot."""
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _decode(sound: bytes) -> list[tuple[str, int]]:
    """Names and last frames of one block's segments; nothing where the recogniser gives up.

    A fresh decoder for each block: its normalisation adapts, and the result must depend on the
    block alone. Loading takes 25 ms.
    """
    loop = str(model_path() / "en-us-phone.lm.bin")
    decoder = new_decoder(allphone=loop, dict=None, beam=1e-20, pbeam=1e-20, lw=2.0, samprate=RATE)
    try:
        run(decoder, sound)
        return [(segment.word, segment.end_frame) for segment in decoder.seg() or ()]
    except RuntimeError:
        return []


def _shifted(found: Iterable[tuple[str, int]], first: float, last: float) -> Iterator[PhoneSpan]:
    """Frames of one block as seconds of the whole sound, stretched to cover the block."""
    begin = first
    names = [(_FILLERS.get(name, name.strip("+")), end) for name, end in found]
    for n, (name, end) in enumerate(names):
        stop = min(last, first + (end + 1) / STEP_RATE + FRAME_DELAY)
        if n == len(names) - 1:
            stop = last
        if stop > begin:
            yield PhoneSpan(name, begin, stop)
            begin = stop
