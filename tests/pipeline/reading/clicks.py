"""Sound of all kinds with clicks in it, and where they are heard."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pipeline.reading.audio import SPEECH_RATE
from tests.support.media import Tone

KINDS = {
    "cd.wav": Tone(3.2, clicks=True, codec="pcm_s16le"),
    "u8.wav": Tone(3.2, clicks=True, codec="pcm_u8", rate=22_050, layout="mono"),
    "s24.wav": Tone(3.2, clicks=True, codec="pcm_s24le", rate=48_000),
    "f32.wav": Tone(3.2, clicks=True, codec="pcm_f32le", rate=96_000),
    "f64.wav": Tone(3.2, clicks=True, codec="pcm_f64le", rate=32_000),
    "alaw.wav": Tone(3.2, clicks=True, codec="pcm_alaw", rate=8_000, layout="mono"),
    "s16.aiff": Tone(3.2, clicks=True, codec="pcm_s16be"),
    "a.mp3": Tone(3.2, clicks=True, codec="libmp3lame"),
    "low.mp3": Tone(3.2, clicks=True, codec="libmp3lame", rate=16_000, layout="mono"),
    "a.m4a": Tone(3.2, clicks=True),
    "low.m4a": Tone(3.2, clicks=True, rate=8_000, layout="mono"),
    "5.1.m4a": Tone(3.2, clicks=True, rate=48_000, layout="5.1"),
    "alac.m4a": Tone(3.2, clicks=True, codec="alac"),
    "a.flac": Tone(3.2, clicks=True, codec="flac"),
    "s32.flac": Tone(3.2, clicks=True, codec="flac", format="s32", rate=48_000),
    "a.ogg": Tone(3.2, clicks=True, codec="libopus", rate=48_000),
    "a.webm": Tone(3.2, clicks=True, codec="libopus", rate=48_000),
    "a.mka": Tone(3.2, clicks=True),
}


def clicks(samples: torch.Tensor) -> Iterator[float]:
    """Seconds at which the clicks of whole seconds begin, but for the first."""
    for second in (1, 2, 3):
        start = round((second - 0.4) * SPEECH_RATE)
        near = samples[start : start + round(0.8 * SPEECH_RATE)].abs() > 0.3
        yield (start + int(near.nonzero()[0])) / SPEECH_RATE
