"""Speech: measured by decoded samples, delivered to the engines at 16 kHz mono.

The length that `measure` counts, the samples that `load_speech` resamples and the sound track that
`pipeline.encode` writes all come from `pipeline.sound`, so they agree to a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from av import AudioFrame, AudioResampler
from torch import Tensor

from pipeline.container import Clock
from pipeline.errors import NoAudio
from pipeline.sound import open_sound, resampled
from pipeline.types import AudioFacts, Limits
from schemas.codes import Stage

if TYPE_CHECKING:
    from pipeline.speech.recogniser import Recognition

SPEECH_RATE = 16_000
"""Samples per second of what the engines hear."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Sound as the engines hear it."""

    samples: Tensor
    """(N,) float32, 16 kHz mono, -1 to 1."""
    duration: Fraction
    """Seconds by decoded samples of the source, exactly."""
    rate: int = SPEECH_RATE
    transcript: str | None = None
    """What is said, if the caller knows."""
    recognition: Future[Recognition] | None = field(default=None, compare=False, repr=False)
    """Its phones, where they are already being recognised (`pipeline.speech.ahead`)."""


def measure(path: Path, limits: Limits) -> AudioFacts:
    """Rate, channels and exact length of a file's sound (`pipeline.probe.probe_audio`)."""
    clock = Clock(path, limits.probe_timeout_s)
    with open_sound(path, limits, clock) as track:
        samples = sum(frame.samples for frame in track.frames())
        if samples == 0:
            raise NoAudio(f"{path.name}: its sound track holds no sample", stage=Stage.PROBE)
        return AudioFacts(
            path=path,
            rate=track.rate,
            channels=track.channels,
            duration=Fraction(samples, track.rate),
            codec=track.codec,
        )


def load_speech(path: Path, limits: Limits, *, under_picture: bool = False) -> Speech:
    """Decode a file's sound to 16 kHz mono, from its first sample on.

    Args:
        path: of the file.
        limits: of the job.
        under_picture: time 0 is the first picture of the same file instead: sound before it is
            dropped, and silence put where sound starts later. For a reference's own sound.

    Raises:
        InputUnreadable: not media, or nothing in it decodes.
        NoAudio: no sound track, or one without a sample.
        MediaLimitExceeded: too many bytes, streams or seconds.
    """
    resampler = AudioResampler(
        "flt",
        "mono",
        SPEECH_RATE,
        options={"rematrix_maxval": "1.0"},  # stereo must not clip
    )
    blocks: list[Tensor] = []
    samples = 0
    with open_sound(path, limits) as track:
        for frame in track.frames(under_picture=under_picture):
            samples += frame.samples
            blocks.extend(_tensors(resampled(resampler, frame)))
        blocks.extend(_tensors(resampled(resampler, None)))
        if samples == 0:
            raise NoAudio(f"{path.name}: its sound track holds no sample", stage=Stage.DECODE)
        duration = Fraction(samples, track.rate)
    return Speech(_joined(blocks, max(1, round(duration * SPEECH_RATE))), duration)


def _tensors(frames: list[AudioFrame]) -> Iterator[Tensor]:
    for frame in frames:
        yield torch.from_numpy(frame.to_ndarray().reshape(-1).astype(np.float32, copy=True))


def _joined(blocks: list[Tensor], length: int) -> Tensor:
    """One tensor of the given length; each block is freed as soon as it is copied."""
    whole = torch.zeros(length)
    end = 0
    blocks.reverse()
    while blocks and end < length:
        block = blocks.pop()[: length - end]
        whole[end : end + len(block)] = block
        end += len(block)
    blocks.clear()
    return whole.clamp_(-1, 1)
