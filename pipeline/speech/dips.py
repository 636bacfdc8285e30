"""Consonants that the signal shows by itself, whatever the recogniser makes of them.

A consonant blocks the mouth: the band of the vowels' formants (600 to 3500 Hz) falls by 18 dB and
more for some hundredths of a second and comes back (Stevens, Acoustic Phonetics, 1998, chapters 7
to 9). Which place it is blocked at cannot be told from such a dip with any certainty: dips that
were strong sat on measured closed lips hardly more often than chance. So a dip alone only narrows
the mouth; it shuts the lips where the recogniser heard f or v, which have no dip of their own
without a hiss, as it does for the b, p and w-like sounds of languages that it does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.runs import true_runs
from pipeline.speech.grid import BLOCK, STEP_RATE
from pipeline.speech.mel import BANDS, HIGHEST_HZ, LOWEST_HZ

DEPTH_DB = 18.0
HISS_DB = -28.0
"""Energy above 3.5 kHz relative to that below 450 Hz; a fricative has more."""
_LOUD_DB = 20.0
"""A dip between sounds that are quieter than this below the loud parts is a pause."""
_NEAR, _FAR = 3, 14
"""Steps before and after in which the level must be back."""


@dataclass(frozen=True, slots=True)
class Dip:
    """A moment at which the mouth is blocked."""

    time: float
    """Seconds, the deepest point."""
    depth: float
    """dB below the lower of its two sides."""
    hiss: float
    """dB of the high band above the low band at that moment."""


def dips(mel: Tensor, level: Tensor) -> list[Dip]:
    """All dips of a speech, in order, by its mel (40, T) in natural logarithms and (T,) dB."""
    formants = _band(mel, 600, 3500)
    width = _FAR - _NEAR + 1
    padded = F.pad(formants[None, None], (_FAR, _FAR), mode="replicate")
    sides = F.max_pool1d(padded, width, stride=1)[0, 0]
    total = formants.numel()
    depth = torch.minimum(sides[:total], sides[-total:]) - formants
    top = F.max_pool1d(depth[None, None], 13, stride=1, padding=6)[0, 0]
    loud = F.max_pool1d(level[None, None], 17, stride=1, padding=8)[0, 0]
    thin = level[:: max(1, total // 1_000_000)]
    floor = float(torch.quantile(thin, 0.95)) - _LOUD_DB
    hiss = _band(mel, 3500, HIGHEST_HZ) - _band(mel, LOWEST_HZ, 450)
    deepest = true_runs((depth >= DEPTH_DB) & (depth >= top) & (loud > floor))
    at = [(start + stop - 1) // 2 for start, stop in deepest]
    return [Dip(k / STEP_RATE, float(depth[k]), float(hiss[k])) for k in at]


def _band(mel: Tensor, low: float, high: float) -> Tensor:
    """Mean power of the triangles that peak in a band, dB, (T,)."""
    rows = mel[_rows(low, high)]
    starts = range(0, rows.shape[1], BLOCK)
    power = torch.cat([rows[:, at : at + BLOCK].exp().mean(0) for at in starts])
    return 10 / math.log(10) * power.clamp(min=1e-10).log()


def _rows(low: float, high: float) -> slice:
    def mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    step = (mel(HIGHEST_HZ) - mel(LOWEST_HZ)) / (BANDS + 1)
    first = math.ceil((mel(low) - mel(LOWEST_HZ)) / step) - 1
    last = math.ceil((mel(high) - mel(LOWEST_HZ)) / step) - 1
    return slice(max(0, first), min(BANDS, last))
