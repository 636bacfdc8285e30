"""What high dynamic range and wide colours look like on an ordinary screen, by published formulas.

    signal ── EOTF ──► light of a screen, cd/m2 ── primaries of BT.709 ── EETF ──► 0 .. 203

Curves and the light that they stand for: ITU-R BT.2100-3, tables 4 and 5. White of everything but
lights and reflections: 203 cd/m2 (BT.2408-7, 2.1). What is brighter is rolled off by the EETF of
BT.2390-11, 5.4.1, up to 1000 cd/m2; what is darker than three quarters of the ordinary signal, as
skin is, stays as it is. Ordinary screens: BT.1886, whose white the 203 cd/m2 become.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Color

Light = NDArray[np.floating[Any]]
Pair = tuple[float, float]

PQ, HLG = 16, 18
"""TransferCharacteristics of ITU-T H.273."""
WHITE, PEAK = 203.0, 1000.0
"""cd/m2."""
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_SCENE_GAMMA = 1.2
"""Of a screen of 1000 cd/m2."""
_GAMMA = 2.4
_D65: Pair = (0.3127, 0.3290)
_BT709: tuple[Pair, Pair, Pair] = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_P3: tuple[Pair, Pair, Pair] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES = {9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), 11: _P3, 12: _P3}
"""H.273 table 2; the cinema's P3 is taken with the white of all others, as players do."""
WIDE = frozenset(_PRIMARIES)
"""ColourPrimaries that hold colours which BT.709 does not."""


def as_shown(signal: Light, color: Color) -> Light:
    """BT.709 signals of what the signals of another colour space show.

    Args:
        signal: (..., 3) R'G'B', 0 to 1.
        color: how it is to be read; matrix and range do not count.

    Returns:
        (..., 3) R'G'B', 0 to 1.
    """
    to_xyz, home = _to_xyz(_PRIMARIES.get(color.primaries, _BT709)), _to_xyz(_BT709)
    light = _light(signal, color.transfer, to_xyz[1]) @ (np.linalg.inv(home) @ to_xyz).T
    if color.transfer in (PQ, HLG):
        # By the strongest colour, so that hues stay and none exceeds the white.
        strongest = light.max(-1, keepdims=True).clip(1e-9)
        light = light * (_rolled_off(strongest) / strongest / WHITE)
    shown: Light = _within(light, home[1]).clip(0, 1) ** (1 / _GAMMA)
    return shown


def _light(signal: Light, transfer: int, luma: Light) -> Light:
    """Light of a screen: cd/m2, or of an ordinary one 1 for its white."""
    if transfer == PQ:
        return _pq(signal)
    return _hlg(signal, luma) if transfer == HLG else signal**_GAMMA


def _pq(signal: Light) -> Light:
    power = signal ** (1 / _M2)
    light: Light = 10_000 * ((power - _C1).clip(0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return light


def _pq_signal(light: Light) -> Light:
    power = (light / 10_000) ** _M1
    signal: Light = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return signal


def _hlg(signal: Light, luma: Light) -> Light:
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
    luminance = (scene @ luma)[..., None]
    light: Light = PEAK * scene * luminance ** (_SCENE_GAMMA - 1)
    return light


def _rolled_off(light: Light) -> Light:
    """Light of up to 1000 cd/m2, and what is above it, within 203."""
    top, white = _pq_signal(np.array([PEAK, WHITE])).tolist()
    most = white / top
    knee = 1.5 * most - 0.5
    signal = _pq_signal(light.clip(0, PEAK)) / top
    t = (signal - knee).clip(0) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * most
    )
    return _pq(np.where(signal < knee, signal, spline) * top)


def _within(light: Light, luma: Light) -> Light:
    """Colours that a screen does not have, drawn towards the grey of their luminance until it does.

    All others stay as they are.
    """
    grey = (light @ luma)[..., None].clip(0, 1)
    least, most = (light.min(-1, keepdims=True), light.max(-1, keepdims=True))
    down = np.where(least < 0, grey / (grey - least).clip(1e-12), 1)
    up = np.where(most > 1, (1 - grey) / (most - grey).clip(1e-12), 1)
    within: Light = grey + (light - grey) * np.minimum(down, up)
    return within


def _to_xyz(primaries: tuple[Pair, Pair, Pair]) -> Light:
    """(3, 3) from linear RGB of some primaries to XYZ (SMPTE RP 177); its second row is luma."""
    columns: Light = np.array([_xyz(pair) for pair in primaries]).T
    white: Light = np.linalg.solve(columns, _xyz(_D65))
    return columns * white


def _xyz(pair: Pair) -> Light:
    x, y = pair
    return np.array([x / y, 1.0, (1 - x - y) / y])
