"""The mel spectrogram that Wav2Lip hears, and the window of each frame.

16 kHz, pre-emphasis 0.97, frames of 800 samples every 200 with reflected edges, magnitude, 80
Slaney bands from 55 to 7600 Hz, decibels from -100 to 0 mapped to -4 .. 4.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

RATE = 16_000
COLUMN_RATE = 80
"""Columns per second."""
WINDOW = 16
"""Columns that a frame hears, 200 ms."""
SILENCE = -4.0
"""Value of a column without sound."""
_FFT, _HOP = 800, 200
BANDS, _LOW, _HIGH = 80, 55.0, 7600.0


def mel_spectrogram(samples: Tensor) -> Tensor:
    """The mel, (80, 1 + n // 200) float32, -4 to 4, of a speech, (n,) at 16 kHz, -1 to 1."""
    wave = samples.detach().cpu().to(torch.float64)
    if wave.numel() <= _FFT // 2:  # the edges are reflected: there must be something to reflect
        wave = F.pad(wave, (0, _FFT // 2 + 1 - wave.numel()))
    wave = torch.cat([wave[:1], wave[1:] - 0.97 * wave[:-1]])
    window = torch.hann_window(_FFT, dtype=torch.float64)
    spectrum = torch.stft(
        wave, _FFT, _HOP, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    bands = mel_bands() @ spectrum.abs()
    decibels = 20.0 * torch.log10(bands.clamp(min=1e-5)) - 20.0
    scaled = 8.0 * ((decibels + 100.0) / 100.0) - 4.0
    columns = 1 + samples.numel() // _HOP
    return scaled.clamp(-4.0, 4.0)[:, :columns].to(torch.float32)


def window_starts(fps: Fraction, frames: range, columns: int) -> list[int]:
    """First column of each frame's window.

    The original stops at the first window that does not fit and so loses the tail; here the last
    window is repeated.

    Args:
        frames: frame numbers from the start of the speech.
        columns: columns that the mel has, at least 16.
    """
    last = columns - WINDOW
    return [min(n * COLUMN_RATE * fps.denominator // fps.numerator, last) for n in frames]


def windows(mel: Tensor, starts: list[int]) -> Tensor:
    """The network's input, (n, 1, 80, 16): the mel, (80, T ≥ 16), from each first column on."""
    return torch.stack([mel[:, start : start + WINDOW] for start in starts]).unsqueeze(1)


def at_least_one_window(mel: Tensor) -> Tensor:
    """(80, T) mel, with silence behind it where it is shorter than one window."""
    return F.pad(mel, (0, max(0, WINDOW - mel.shape[1])), value=SILENCE)


class MelWindows:
    """What the network hears of one speech, (n,) samples at 16 kHz, -1 to 1."""

    def __init__(self, samples: Tensor) -> None:
        self._mel = at_least_one_window(mel_spectrogram(samples))

    def frames(self, fps: Fraction, frames: range) -> Tensor:
        """(len(frames), 80, 16) of some output frames."""
        return windows(self._mel, window_starts(fps, frames, self._mel.shape[1]))[:, 0]


@lru_cache
def mel_bands() -> Tensor:
    """(80, 401) float64: triangles of equal area on Slaney's scale, rounded to float32.

    Slaney, "Auditory Toolbox", 1998: linear below 1 kHz, logarithmic above.
    """
    edge = _mel_to_hz(np.linspace(_hz_to_mel(_LOW), _hz_to_mel(_HIGH), BANDS + 2))
    bins = np.linspace(0, RATE / 2, 1 + _FFT // 2)
    width = np.diff(edge)
    ramp = edge[:, None] - bins[None, :]
    rise, fall = -ramp[:-2] / width[:-1, None], ramp[2:] / width[1:, None]
    bands = np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
    area = 2.0 / (edge[2:] - edge[:-2])
    scaled = (bands * area[:, None]).astype(np.float32)
    return torch.from_numpy(scaled.astype(np.float64))


_LINEAR = 200.0 / 3
_KNEE_HZ = 1000.0
_KNEE = _KNEE_HZ / _LINEAR
_LOG = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _LINEAR
    return float(_KNEE + np.log(hz / _KNEE_HZ) / _LOG)


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    curve = _KNEE_HZ * np.exp(_LOG * (mel - _KNEE))
    return np.where(mel >= _KNEE, curve, mel * _LINEAR)
