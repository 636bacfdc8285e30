"""What every reader of a speech begins with: its noise taken out, and its phones."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from torch import Tensor

from pipeline.speech.denoise import fell_silent, noisy, quieted
from pipeline.speech.mel import hear_level
from pipeline.speech.recogniser import Recognition, recognise


@dataclass(frozen=True, slots=True)
class Perceived:
    """A sound as it was heard."""

    recognition: Recognition
    quiet: Tensor | None
    """(N,) float16 without its noise; None where it was heard as it came."""


def perceive(samples: Tensor, stop: threading.Event | None = None) -> Perceived:
    """Hear a whole sound; where it is noisy, what was lifted out of the noise.

    Args:
        samples: (N,) float at 16 kHz.
        stop: when set, nothing more is heard: for a caller that gave up.

    Raises:
        WeightsMissing: a package that carries a network is not there.
    """
    level = hear_level(samples)
    quiet = _without_noise(samples, level, stop)
    if quiet is None:
        return Perceived(recognise(samples, level, stop), None)
    return Perceived(recognise(quiet, hear_level(quiet), stop), quiet)


def _without_noise(samples: Tensor, level: Tensor, stop: threading.Event | None) -> Tensor | None:
    if not noisy(samples, level):
        return None
    quiet = quieted(samples, level, stop)
    return quiet if fell_silent(level, hear_level(quiet)) else None
