"""What a person's own mouth is predicted from: cues that hold for any voice.

The table's curves, loudness and two spectral tilts, each relative to the speech it comes from.
Raw spectra are left out on purpose: a fit on one voice must work when another one speaks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.speech.activity import loudness
from pipeline.speech.grid import STEP_RATE, at_times, gaussian
from pipeline.speech.mouth import Hearing, MouthCurve, table_curves, timbre

DELAYS = (-6, 0, 6)
"""Steps at which the cues are read around an instant."""
CUES = 12
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


def rows(cue: Tensor, times: Tensor) -> Tensor:
    """The cues around instants.

    Args:
        cue: (12, T).
        times: (F,) seconds.

    Returns:
        (F, 36) float64.
    """
    read = [at_times(cue, times + delay / STEP_RATE) for delay in DELAYS]
    return torch.cat(read).T.double()


def _tilts(heard: Hearing) -> Tensor:
    """Energy around 1 to 2 kHz above that around F1's floor, and of the hiss above both; (2, T)."""
    mel = gaussian(heard.mel, _SIGMA_S)
    low, middle, high = (mel[band].mean(0) for band in (_LOW, _MIDDLE, _HIGH))
    tilt = torch.stack([middle - low, high - middle])
    spoken = heard.active > 0.5
    if int(spoken.sum()) < STEP_RATE // 5:
        return torch.zeros_like(tilt)
    mean = tilt[:, spoken].mean(1, keepdim=True)
    spread = tilt[:, spoken].std(1, keepdim=True).clamp(min=0.1)
    return ((tilt - mean) / spread).clamp(-_TILT_CLIP, _TILT_CLIP) * _TILT_SCALE
