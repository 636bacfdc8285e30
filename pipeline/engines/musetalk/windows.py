"""Which stretch of the speech each frame hears, in exact time.

whisper gives 50 steps a second. A frame sees ten of them: from 4 steps before the step in which it
begins, as in training, at every frame rate. (The original rounds the rate to a whole number, so
that sound and picture drift, moves the window with the rate, and dies at 50 fps and more.)
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engines.windows import brought

STEP_RATE = 50
"""Encoder steps per second."""
BEFORE = 4
"""Steps that a window begins before its frame."""
WINDOW = 10
"""Steps of a window."""
STATES = 5
"""Encoder states per step: after the convolutions and after each of the four layers."""
WIDTH = 384
"""Width of a state."""
TOKENS = WINDOW * STATES
"""Tokens of a frame."""


def window_steps(fps: Fraction, frames: range, steps: int) -> Tensor:
    """The steps that the windows of some frames hold.

    Args:
        frames: frame numbers from the start of the speech.

    Returns:
        (len(frames), 10) int64; -1 where there is no speech (before its start, after its end).
    """
    rate, period = fps.as_integer_ratio()  # once: a fraction's parts are calls
    first = [n * STEP_RATE * period // rate - BEFORE for n in frames]
    index = torch.tensor(first, dtype=torch.int64).reshape(-1, 1) + torch.arange(WINDOW)
    return torch.where((index >= 0) & (index < steps), index, -1)


def tokens(states: Tensor, index: Tensor) -> Tensor:
    """The windows' states as tokens: row 5 k + s is state s of the window's step k.

    Args:
        states: (T, 5, W) encoder states.
        index: (F, 10) int64 rows of `states`; -1 stands for zeros.

    Returns:
        (F, 50, W).
    """
    zero = torch.zeros_like(states[:1])
    taken = torch.cat([states, zero])[brought(index, states.device)]
    return taken.flatten(1, 2)


@lru_cache
def positional_table(length: int = TOKENS, width: int = WIDTH) -> Tensor:
    """(length, width) float32 sines and cosines, interleaved; added to the tokens.

    Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
    """
    place = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)
    return table
