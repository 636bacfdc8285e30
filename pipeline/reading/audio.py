"""Speech: measured by decoded samples, delivered to the engines at 16 kHz mono.

The length that `measure` counts, the samples that `load_speech` resamples and the sound track that
`pipeline.writing.encode` writes all come from `sound_stream`, so they agree to a sample.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction
from math import sqrt
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from av import AudioFrame, AudioResampler
from torch import Tensor

from pipeline.errors import NoAudio
from pipeline.reading.channels import (
    FAINT,
    MANY,
    MIX,
    ChannelMeter,
    alone,
    is_cancelled,
    meter_of,
)
from pipeline.reading.container import Clock, check_file
from pipeline.reading.resampling import resampled
from pipeline.reading.sound_stream import open_sound
from pipeline.reading.trial import open_on_trial
from pipeline.types import AudioFacts, Limits
from schemas.codes import Stage

if TYPE_CHECKING:
    from pipeline.speech.perception import Perceived

_GROW = 1024**2
"""Bytes that a speech gets at first."""
SPEECH_RATE = 16_000
"""Samples per second of what the engines hear."""
_HUSHED = 0.01
"""Loudness from which on a mix of many channels certainly has not lost the speech; that is at 0.02
and more."""
_OFFSET = 0.004
"""Mean of most seconds from which on it is an offset of the recorder, as sound has none."""


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
    recognition: Future[Perceived] | None = field(default=None, compare=False, repr=False)
    """What is heard of it, where somebody already listens (`pipeline.speech.recognise_ahead`)."""


def reading_s(limits: Limits) -> float:
    """Seconds that decoding a whole sound may take.

    Longer where longer ones than usual are let in: two hours take 5 to 15.
    """
    return limits.probe_timeout_s * max(1.0, limits.max_audio_s / Limits().max_audio_s)


def measure(path: Path, limits: Limits) -> AudioFacts:
    """Rate, channels and exact length of a file's sound (`pipeline.reading.probe.probe_audio`).

    Raises:
        InputUnreadable: not media, or nothing in it decodes.
        MediaLimitExceeded: it is larger, longer or slower to read than the limits allow.
        NoAudio: no sound track, or one without a sample.
    """
    clock = Clock(path, reading_s(limits))
    check_file(path, limits, Stage.PROBE)
    open_on_trial(path, limits, Stage.PROBE)
    with open_sound(path, limits, clock) as track:
        meter = meter_of(track.channels)
        samples = 0
        for frame in track.frames():
            samples += frame.samples
            if meter is not None:
                meter.add(frame)
        if samples == 0:
            raise NoAudio(f"{path.name}: its sound track holds no sample", stage=Stage.PROBE)
        return AudioFacts(
            path=path,
            rate=track.rate,
            channels=track.channels,
            duration=Fraction(samples, track.rate),
            codec=track.codec,
            alone=None if meter is None else meter.lost(),
        )


def load_speech(path: Path, limits: Limits, *, under_picture: bool = False) -> Speech:
    """Decode a file's sound to 16 kHz mono, from its first sample on.

    Two channels of opposite sign, as a balanced cable into a stereo recorder makes them, would
    cancel each other: of those the left one is heard.

    Args:
        under_picture: time 0 is the first picture of the same file instead: sound before it is
            dropped, and silence put where sound starts later. For a reference's own sound.

    Raises:
        InputUnreadable: not media, or nothing in it decodes.
        NoAudio: no sound track, or one without a sample.
        MediaLimitExceeded: too many bytes, streams or seconds.
    """
    samples, duration, channels = _decoded(path, limits, under_picture, "mono")
    if channels == 2 and _loudness(samples) < FAINT:
        left, _, _ = _decoded(path, limits, under_picture, "stereo")
        if is_cancelled(_loudness(samples), _loudness(left)):
            samples = left
    if channels >= MANY and _loudness(samples) < _HUSHED:
        only = _lost(path, limits)
        if only is not None:
            samples, _, _ = _decoded(path, limits, under_picture, "mono", only)
    return Speech(samples, duration)


def _lost(path: Path, limits: Limits) -> int | None:
    meter = ChannelMeter()
    with open_sound(path, limits) as track:
        for frame in track.frames():
            meter.add(frame)
    return meter.lost()


def _decoded(
    path: Path, limits: Limits, under_picture: bool, layout: str, only: int | None = None
) -> tuple[Tensor, Fraction, int]:
    """The first channel of a layout at 16 kHz, seconds, and channels of the source."""
    resampler = AudioResampler("fltp", layout, SPEECH_RATE, options=MIX)
    heard = _Samples()
    samples = 0
    with open_sound(path, limits) as track:
        for frame in track.frames(under_picture=under_picture):
            samples += frame.samples
            heard.add(resampled(resampler, frame if only is None else alone(frame, only)))
        heard.add(resampled(resampler, None))
        if samples == 0:
            raise NoAudio(f"{path.name}: its sound track holds no sample", stage=Stage.DECODE)
        duration = Fraction(samples, track.rate)
    samples_16k = heard.cut(max(1, round(duration * SPEECH_RATE)))
    _take_offset(samples_16k)
    return samples_16k, duration, track.channels


def _take_offset(samples: Tensor) -> None:
    """Bring a recording whose zero lies elsewhere (a cheap sound card) back to 0, in place.

    A level is measured from 0: an offset would count as a steady noise, and speech below it as
    silence. It may wander; what has none keeps every bit.
    """
    count = samples.numel() // SPEECH_RATE
    if count < 1:
        return
    blocks = samples.tensor_split(count)
    means = [float(block.mean()) for block in blocks]
    if median(map(abs, means)) < _OFFSET:  # a deep bass has some such seconds
        return
    around = [means[0], *means, means[-1]]
    for block, (before, here, after) in zip(blocks, _threes(around), strict=True):
        half = block.numel() // 2
        block[:half] -= torch.linspace((before + here) / 2, here, half)
        block[half:] -= torch.linspace(here, (here + after) / 2, block.numel() - half)


def _threes(values: list[float]) -> Iterator[tuple[float, float, float]]:
    """Each value with its neighbours, but for the first and the last one."""
    return zip(values, values[1:], values[2:], strict=False)


def _loudness(samples: Tensor) -> float:
    """Root of the mean square."""
    return sqrt(float(torch.dot(samples, samples)) / len(samples))


class _Samples:
    """Samples in pages of their own: growing copies none, and dropping gives all of them back.

    Ten minutes are 38 MB. As blocks that are joined they would take twice as much for a moment,
    and the allocator would keep that for the rest of the job.
    """

    def __init__(self) -> None:
        # Private: shared pages of no file end where they ended at first, however they are resized.
        self._pages = mmap.mmap(-1, _GROW, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def add(self, frames: list[AudioFrame]) -> None:
        """Append the first channel of the resampler's frames."""
        for frame in frames:
            data = frame.to_ndarray()[0].astype(np.float32, copy=False).tobytes()
            self._reach(self._pages.tell() + len(data))
            self._pages.write(data)

    def cut(self, length: int) -> Tensor:
        """(length,) samples, silence behind the last; nothing can be added any more."""
        self._reach(4 * length)
        return torch.frombuffer(self._pages, dtype=torch.float32, count=length).clamp_(-1, 1)

    def _reach(self, size: int) -> None:
        if size > len(self._pages):
            self._pages.resize(max(size, 2 * len(self._pages)))
