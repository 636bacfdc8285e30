"""Faces in coloured light, or in hardly any, as the mesh network knows them from daylight.

The network tells teeth from lips by their colour: in the pink of a stage it takes teeth for lips,
and a smile for a shut mouth. So each channel gets a gain of its own, as photographers balance the
white of a picture, by the face itself: all skins lie within narrow bounds of colour. What lies
within them is seen as it is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

GAMMA = 2.2
USUAL = (0.55, -0.32)
"""Natural logarithms of red and of blue over green, of light, in the mean of 86 faces."""
LEAST, MOST = (-0.3, -1.8), (1.3, 0.4)
"""Bounds of both within which nothing is changed: paintings, old photographs and tungsten lie
within them."""
BEYOND = 0.4
"""So far beyond the bounds the colour is balanced whole."""
DIM, DARK = 0.06, 0.03
"""Mean light of a face, 1 for white, below the first of which it is brightened, and from the second
on to `BRIGHT`. The darkest of those 86 is at 0.09."""
BRIGHT, MOST_GAIN = 0.25, 12.0
_MARGIN = 1e-3
"""Far above what numpy and torch differ by."""
_LUMA = (0.2126, 0.7152, 0.0722)


def daylight(pictures: Tensor) -> Tensor:
    """Pictures of faces in a light that the network knows.

    Args:
        pictures: (N, 3, side, side) RGB from 0 to 1, a face in the middle of each.

    Returns:
        The same tensor where nothing is to be changed, which is so in usual light.
    """
    side = pictures.shape[-1]
    middle = slice(side // 4, side - side // 4)
    seen = pictures[..., middle, middle].mean((2, 3)).clamp_min(1e-3).pow(GAMMA)
    if _is_usual(seen):
        return pictures
    gain = _balance(seen)
    gain = gain * _brighten(_light(seen))
    if bool((gain == 1).all()):
        return pictures
    return (pictures * gain.pow(1 / GAMMA)[..., None, None]).clamp_max(1.0)


def _is_usual(seen: Tensor) -> bool:
    """Whether nothing is to be changed for colours (N, 3), by a margin.

    Every look asks this, on a GPU's host, too, where a step of numpy takes a fraction of torch's.
    """
    values = seen.cpu().numpy()
    tint = np.log(values[:, ::2] / values[:, 1:2])
    low, high = np.asarray(LEAST) + _MARGIN, np.asarray(MOST) - _MARGIN
    inside = (tint > low) & (tint < high)
    return bool(inside.all() and (values @ np.asarray(_LUMA) > DIM + _MARGIN).all())


def _light(seen: Tensor) -> Tensor:
    """(N, 1) how bright colours (N, 3) are."""
    return (seen * seen.new_tensor(_LUMA)).sum(1, keepdim=True)


def _balance(seen: Tensor) -> Tensor:
    """(N, 3) gains that turn colours to the usual one, as bright; 1 for those within the bounds."""
    tint = (seen[:, ::2] / seen[:, 1:2]).log()
    low, high, usual = (tint.new_tensor(each) for each in (LEAST, MOST, USUAL))
    beyond = (low - tint).maximum(tint - high).amax(1, keepdim=True)
    share = (beyond / BEYOND).clamp(0, 1)
    red, blue = (share * (usual - tint)).exp().unbind(1)
    gain = torch.stack([red, torch.ones_like(red), blue], 1)
    return torch.where(share > 0, gain * _light(seen) / _light(seen * gain), 1.0)


def _brighten(light: Tensor) -> Tensor:
    """(N, 1) gains for faces as bright as (N, 1)."""
    low, high, bright = (torch.tensor(each).log() for each in (DARK, DIM, BRIGHT))
    share = ((high - light.log()) / (high - low)).clamp(0, 1)
    return (share * (bright - light.log())).exp().clamp_max(MOST_GAIN)
