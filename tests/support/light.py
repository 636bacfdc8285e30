"""Pictures as cameras of high dynamic range write them, made from ordinary ones.

An ordinary picture is taken for light as a BT.1886 screen makes of it, with white at the reference
level of 203 cd/m2 (ITU-R BT.2408-7, 5.1.3), in the primaries of BT.2020 (BT.2087), and coded by the
curves of BT.2100: hybrid log-gamma for a screen of 1000 cd/m2, or perceptual quantisation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BT2020 = 9
"""Of ITU-T H.273: ColourPrimaries, and MatrixCoefficients."""
BT2020_SDR, PQ, HLG = 14, 16, 18
"""TransferCharacteristics of the same."""
WHITE, PEAK = 203.0, 1000.0
"""cd/m2."""
_TO_BT2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
_LUMA = (0.2627, 0.6780, 0.0593)
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128

Samples = NDArray[np.float64]


def in_light(rgb: NDArray[np.uint8], transfer: int, white: float = WHITE) -> NDArray[np.uint16]:
    """A picture in BT.2020 and another curve.

    Args:
        rgb: (..., 3), BT.709, gamma 2.4.
        transfer: PQ, HLG or BT2020_SDR.
        white: cd/m2 that full white has.

    Returns:
        (..., 3) of 16 bits.
    """
    light = (rgb / 255) ** 2.4 @ np.transpose(_TO_BT2020)
    if transfer == PQ:
        coded = _pq(light * white)
    elif transfer == HLG:
        coded = _hlg(light * white)
    else:
        coded = light ** (1 / 2.4)
    return np.round(coded.clip(0, 1) * 65535).astype(np.uint16)


def _pq(light: Samples) -> Samples:
    power = (light.clip(0) / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _hlg(light: Samples) -> Samples:
    """What a scene must be for a screen of 1000 cd/m2 to show this: gamma 1.2."""
    shown = light.clip(0) / PEAK
    luminance = (shown @ np.array(_LUMA))[..., None].clip(1e-9)
    scene = shown * luminance ** (1 / 1.2 - 1)
    log = _A * np.log((12 * scene - _B).clip(1e-9)) + _C
    coded: Samples = np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)
    return coded
