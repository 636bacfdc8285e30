"""The cepstra that SyncNet hears: the defaults of python_speech_features 0.6 at 16 kHz.

Facts: pre-emphasis 0.97; rectangular frames of 25 ms every 10 ms, the last one filled up with
zeros; 512-point power spectrum / 512; 26 triangles between 0 and 8000 Hz whose corners are whole
FFT bins; natural logarithm; orthonormal DCT-II; sine lifter of 22; coefficient 0 is replaced with
the logarithm of the frame's energy.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

RATE = 16_000
COEFFICIENTS = 13
_FRAME, _HOP, _FFT, _BANDS, _LIFTER = 400, 160, 512, 26, 22
_EPS = float(np.finfo(np.float64).eps)


def mfcc(samples: Tensor) -> Tensor:
    """Cepstra of a whole sound.

    Args:
        samples: (n,) at 16 kHz with the values of 16-bit samples (not scaled to 1), n at least 1.

    Returns:
        (13, T) float32, T = 1 + ceil((n - 400) / 160), at least 1.
    """
    wave = samples.detach().cpu().to(torch.float64)
    wave = torch.cat([wave[:1], wave[1:] - 0.97 * wave[:-1]])
    count = 1 + max(0, math.ceil((wave.numel() - _FRAME) / _HOP))
    wave = F.pad(wave, (0, (count - 1) * _HOP + _FRAME - wave.numel()))
    power = torch.fft.rfft(wave.unfold(0, _FRAME, _HOP), _FFT).abs().square() / _FFT
    bands = _never_zero(power @ _triangles().T).log()
    cepstra = bands @ _cosines().T
    cepstra[:, 0] = _never_zero(power.sum(dim=1)).log()
    return cepstra.T.to(torch.float32).contiguous()


def _never_zero(x: Tensor) -> Tensor:
    return torch.where(x == 0, _EPS, x)


@lru_cache
def _triangles() -> Tensor:
    """(26, 257) float64."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _BANDS + 2) / 2595) - 1)
    corner = np.floor((_FFT + 1) * hertz / RATE).astype(int)
    out = np.zeros((_BANDS, _FFT // 2 + 1))
    for n in range(_BANDS):
        left, middle, right = corner[n : n + 3]
        up, down = np.arange(left, middle), np.arange(middle, right)
        out[n, up] = (up - left) / (middle - left)
        out[n, down] = (right - down) / (right - middle)
    return torch.from_numpy(out)


@lru_cache
def _cosines() -> Tensor:
    """(13, 26) float64: orthonormal DCT-II, lifted."""
    order, band = np.arange(COEFFICIENTS)[:, None], np.arange(_BANDS)[None]
    table = np.cos(np.pi * order * (2 * band + 1) / (2 * _BANDS)) * np.sqrt(2 / _BANDS)
    table[0] /= np.sqrt(2)
    lift = 1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER)
    return torch.from_numpy(table * lift)
