"""What a person's own mouth is predicted from: cues that hold for any voice.

The table's curves, loudness and two spectral tilts, each relative to the speech it comes from, and
the outputs of two inner blocks of the phone network, which was taught to hear the same phone from
whoever speaks. Raw spectra are left out on purpose: a fit on one voice must work when another one
speaks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.speech.activity import loudness
from pipeline.speech.conformer import RATE
from pipeline.speech.grid import STEP_RATE, at_times, gaussian
from pipeline.speech.mouth import Hearing, MouthCurve, table_curves, timbre

DELAYS_S = (-0.06, 0.0, 0.06)
"""Where the cues are read around an instant: the pull of neighbouring phones."""
HIDDEN_DELAYS_S = (-0.08, 0.0, 0.08)
CUES = 12
_HIDDEN_SIGMA_S = 0.04
_LEAST_SPREAD = 0.05
_LEAST_SHARE = 0.2
"""A column that hardly moved in the reference is not blown up: another voice may move it."""
_SIGMA_S = 0.035
_TILT_CLIP, _TILT_SCALE = 2.5, 0.5
_LOW, _MIDDLE, _HIGH = slice(3, 9), slice(12, 22), slice(28, 38)


def cues(heard: Hearing, curve: MouthCurve) -> Tensor:
    """The cues of a whole speech, (12, T) float32, all of the order of 1."""
    total = heard.level.numel()
    opening, _, _ = table_curves(heard.phones, total)
    return torch.cat(
        [
            torch.stack(
                [
                    curve.openness,
                    curve.capped,
                    gaussian(opening, 0.045),
                    curve.activity,
                    curve.rest,
                    gaussian(loudness(heard.level), 0.04),
                    timbre(heard.mel, heard.active) * curve.activity,
                    curve.cap,
                    curve.width,
                    curve.jaw,
                ]
            ),
            _tilts(heard) * curve.activity,
        ]
    )


def rows(heard: Hearing, cue: Tensor, times: Tensor) -> Tensor:
    """(F, 900) float64: what mouths at (F,) instants are predicted from, (12, T) `cues` and all."""
    read = [at_times(cue, times + delay) for delay in DELAYS_S]
    return torch.cat([*read, *_hidden(heard.hidden, times)]).T.double()


def scales(x: Tensor) -> Tensor:
    """What the columns of `rows` are divided by before a fit: (900,).

    Each column gets the same spread, and the few cues as a whole the weight of the many outputs
    of the network as a whole.
    """
    spread = x.std(0)
    few = CUES * len(DELAYS_S)
    cue, hidden = spread[:few].clamp(min=_LEAST_SPREAD), spread[few:]
    hidden = hidden.clamp(min=max(_LEAST_SHARE * float(hidden.median()), 1e-6))
    return torch.cat([cue * few**0.5, hidden * hidden.numel() ** 0.5])


def _hidden(hidden: Tensor, times: Tensor) -> list[Tensor]:
    """The network's outputs around instants, smoothed: (288, F) each."""
    if hidden.shape[1] == 0:
        return [torch.zeros(hidden.shape[0], len(times)) for _ in HIDDEN_DELAYS_S]
    reach = max(HIDDEN_DELAYS_S) + 4 * _HIDDEN_SIGMA_S
    first = max(0, int((float(times.min()) - reach) * RATE))
    last = min(hidden.shape[1], int((float(times.max()) + reach) * RATE) + 2)
    first = min(first, hidden.shape[1] - 1)
    piece = hidden[:, first : max(last, first + 1)].float()
    # `gaussian` and `at_times` count in steps of 10 ms; these frames lie 20 ms apart.
    smooth = gaussian(piece, _HIDDEN_SIGMA_S * RATE / STEP_RATE)
    place = (times - first / RATE) * RATE / STEP_RATE
    return [at_times(smooth, place + delay * RATE / STEP_RATE) for delay in HIDDEN_DELAYS_S]


def _tilts(heard: Hearing) -> Tensor:
    """Energy around 1 to 2 kHz above that around F1's floor, and of the hiss above both; (2, T)."""
    bands = torch.stack([heard.mel[band].mean(0) for band in (_LOW, _MIDDLE, _HIGH)])
    low, middle, high = gaussian(bands, _SIGMA_S)
    tilt = torch.stack([middle - low, high - middle])
    spoken = heard.active > 0.5
    if int(spoken.sum()) < STEP_RATE // 5:
        return torch.zeros_like(tilt)
    mean = tilt[:, spoken].mean(1, keepdim=True)
    spread = tilt[:, spoken].std(1, keepdim=True).clamp(min=0.1)
    return ((tilt - mean) / spread).clamp(-_TILT_CLIP, _TILT_CLIP) * _TILT_SCALE
