"""Speech lifted out of noise, before it is heard.

What is clean is left alone, bit for bit: whether a sound is noisy is measured first.
"""

from __future__ import annotations

import math
import threading

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.speech.activity import lift, recorded, spread, thin
from pipeline.speech.grid import RATE
from pipeline.speech.mel import hear
from pipeline.speech.nsnet2 import HOP, WINDOW, suppressor

_DB = 10 / math.log(10)
"""In a natural logarithm of a power."""
_SPREAD_DB = 18.0
"""How much louder the loud parts are than the quietest, below which the sound is noisy. Seen: 19
and more in clean speech, even where the speaker never pauses; 18 at white noise 15 dB below."""
_BANDS_DB = 30.0
"""The same within single bands of speech, which fall silent even where the whole does not. Seen: 32
and more in clean speech; 25 to 29 in a street 10 dB below."""
_SPEECH = slice(3, 30)
"""Bands between 200 Hz and 4 kHz."""
_STEPS = 6000
"""Of the level that are looked at, at least, where there are so many."""
_KEPT = 0.15
"""Of what is taken for noise, so that speech which is taken for it is not lost: phones are heard
best at .1 to .3."""
_FELL_DB = 14.0
"""By how much the quietest tenth falls at least where what was taken was noise. Seen: 14 to 16 in
hiss, hum, streets and music, of 16 that can be; 11 to 14 where others talk behind the speaker. The
rest of their noise gone, their words would be heard better, too, and the mouth would say them."""
_BLOCK = 1000
"""Windows that are worked on together: 10 s."""


def noisy(samples: Tensor, level: Tensor) -> bool:
    """Whether speech, (N,) at 16 kHz of (T,) dB, is heard better without its noise."""
    inside = recorded(level)
    some = level[inside]
    if float(spread(some[:: max(1, len(some) // _STEPS)])) < _SPREAD_DB:
        return True
    if inside.start is not None:
        samples = samples[inside.start * HOP : inside.stop * HOP]
    mel = torch.cat([hear(place)[0] for place in _places(samples)], 1)
    return float(spread(mel[_SPEECH]).median()) * _DB < _BANDS_DB


def _places(samples: Tensor) -> list[Tensor]:
    """The sound, or 5 s at each of six places of one that is longer than them together."""
    length = 5 * RATE
    if len(samples) <= 6 * length:
        return [samples]
    apart = (len(samples) - length) // 5
    return [samples[n * apart : n * apart + length] for n in range(6)]


def quieted(samples: Tensor, level: Tensor, stop: threading.Event | None = None) -> Tensor:
    """The sound with its noise 16 dB lower.

    Args:
        samples: (N,) float at 16 kHz.
        level: (T,) dB of `pipeline.speech.mel.hear`, for a loudness that the network knows.
        stop: when set, the rest stays silent: for a caller that gave up.

    Returns:
        (N,) float16 at the usual loudness; a long sound takes half of its room again.

    Raises:
        WeightsMissing: the package that carries the network is not there.
    """
    network = suppressor()
    gain = 10 ** (lift(level) / 20)
    window = torch.hann_window(WINDOW).sqrt()
    total = -(-samples.numel() // HOP) + 1  # each sample lies in two windows
    out = torch.zeros(total, HOP, dtype=torch.float16)
    late = torch.zeros(HOP)
    state: Tensor | None = None
    for start in range(0, total, _BLOCK):
        if stop is not None and stop.is_set():
            break
        last = min(start + _BLOCK, total)
        spectrum = torch.fft.rfft(_windows(samples, start, last) * gain * window)
        gains, state = network(spectrum.abs().square(), state)
        halves = torch.fft.irfft(spectrum * (_KEPT + (1 - _KEPT) * gains), WINDOW) * window
        overlapped = halves[:, :HOP] + torch.cat([late[None], halves[:-1, HOP:]])
        out[start:last], late = overlapped.half(), halves[-1, HOP:]
    return out[1:].flatten()[: samples.numel()]


def fell_silent(before: Tensor, after: Tensor) -> bool:
    """Whether `quieted` took what was between the words, by the (T,) levels before and after."""
    inside = recorded(before)
    fell = before[inside] + lift(before) - after[inside]
    return float(torch.quantile(thin(fell), 0.9)) >= _FELL_DB


def _windows(samples: Tensor, start: int, stop: int) -> Tensor:
    """(stop - start, 320); the first one begins half a window before the sound."""
    first, last = (start - 1) * HOP, stop * HOP
    piece = samples[max(0, first) : last].detach().cpu().float()
    piece = torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0)
    left = max(0, -first)
    return F.pad(piece, (left, last - first - left - piece.numel())).unfold(0, WINDOW, HOP)
