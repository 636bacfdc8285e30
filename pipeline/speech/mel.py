"""Log-mel and loudness of a speech, 100 steps a second, made in blocks so that memory stays flat.

25 ms Hann windows every 10 ms around the step's instant, 40 triangles between 60 and 7600 Hz on
the mel scale of O'Shaughnessy (2595 log10(1 + f / 700)), natural logarithm of the power.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.speech.grid import HOP, RATE, steps

BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
_WINDOW, _FFT = 400, 512
_FLOOR = 1e-10
"""Power of digital silence: -100 dB."""
_BLOCK = 3000
"""Steps that are transformed together: 30 s, about 15 MB."""


@lru_cache(maxsize=1)
def filters() -> Tensor:
    """The triangles, (40, 257), each with a peak of 1."""

    def mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    points = torch.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), BANDS + 2, dtype=torch.float64)
    corners = 700.0 * (torch.pow(10.0, points / 2595.0) - 1.0)
    bins = torch.arange(_FFT // 2 + 1, dtype=torch.float64) * RATE / _FFT
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - low) / (peak - low), (high - bins) / (high - peak)
    return torch.minimum(rising, falling).clamp(min=0).float()


def hear(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Log-mel and loudness of a whole sound.

    Args:
        samples: (N,) float at 16 kHz, -1 to 1; may be empty.

    Returns:
        log-mel (40, T) float32 and root mean square level (T,) float32 in dB below full scale,
        T = N // 160 + 1. Values that are not finite count as silence.
    """
    total = steps(samples.numel())
    mel, level = torch.empty(BANDS, total), torch.empty(total)
    window = torch.hann_window(_WINDOW, periodic=True)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        frames = _frames(samples, start, stop)
        power = torch.fft.rfft(frames * window, _FFT).abs().square()
        mel[:, start:stop] = (power @ filters().T).clamp(min=_FLOOR).log().T
        level[start:stop] = _level(frames)
    return mel, level


def hear_level(samples: Tensor) -> Tensor:
    """The loudness of `hear` alone, (T,) dB."""
    total = steps(samples.numel())
    level = torch.empty(total)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        level[start:stop] = _level(_frames(samples, start, stop))
    return level


def _level(frames: Tensor) -> Tensor:
    return 10 * frames.square().mean(1).clamp(min=_FLOOR).log10()


def _frames(samples: Tensor, start: int, stop: int) -> Tensor:
    """(stop - start, 400) windows, silence beyond the ends."""
    first = start * HOP - _WINDOW // 2
    last = (stop - 1) * HOP + _WINDOW // 2
    piece = samples[max(0, first) : max(0, min(last, samples.numel()))].detach().cpu().float()
    piece = torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0)
    left = max(0, -first)
    piece = F.pad(piece, (left, last - first - left - piece.numel()))
    return piece.unfold(0, _WINDOW, HOP)
