"""The phone network of `hama` 1.7 (Apache-2.0) in torch: a small Conformer with a CTC head.

Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", Interspeech
2020. Power spectrum of 25 ms windows each 10 ms → 80 mel bands → a convolution of stride 2 →
four blocks of width 144 (4 heads, kernel 31, batch norm folded in) → log-probabilities of 191
tokens, 50 a second. 2.3 million weights; .006 s of one core per second of speech. Agrees with the
package's own engine to its rounding to 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.speech.archive import load_weights

RATE = 50
"""Frames a second."""
WIDTH = 144
_BLOCKS, _HEADS = 4, 4
_FFT, _HOP, _BINS = 400, 160, 201
_FLOOR = 1e-10
_STEM, _DEPTHWISE, _MATRIX = 801, 804, 829
"""Where the export's numbering of nameless tensors begins."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the network makes of a sound. S = N // 320 + 1 frames."""

    log_probs: Tensor
    """(S, 191)."""
    hidden: tuple[Tensor, ...]
    """Output of each block, (S, 144)."""


class Conformer:
    """The network, ready to run on the CPU."""

    def __init__(self, tensors: dict[str, Tensor], tokens: tuple[str, ...]) -> None:
        self.tokens = tokens
        self._w = tensors
        kernels = (tensors["stft_real_kernel"][:, 0], tensors["stft_imag_kernel"][:, 0])
        self._spectrum = torch.cat(kernels).T.contiguous()

    @torch.no_grad()
    def __call__(self, samples: Tensor) -> Heard:
        """Listen to a sound, (N,) float32 at 16 kHz, N > 200."""
        x = self._stem(self._mel(samples))
        hidden = []
        for n in range(_BLOCKS):
            x = self._block(x, n)
            hidden.append(x)
        head = self._w["acoustic_model.model.proj.weight"][:, :, 0]
        scores = F.linear(x, head, self._w["acoustic_model.model.proj.bias"])
        return Heard(scores.log_softmax(-1), tuple(hidden))

    def _mel(self, samples: Tensor) -> Tensor:
        """(80, T), 100 steps a second."""
        padded = F.pad(samples[None, None], (_FFT // 2, _FFT // 2), mode="reflect")[0, 0]
        parts = (padded.unfold(0, _FFT, _HOP) @ self._spectrum).square()
        power = parts[:, :_BINS] + parts[:, _BINS:]
        return (power @ self._w["mel_fb"]).clamp(min=_FLOOR).log().T

    def _stem(self, mel: Tensor) -> Tensor:
        weight, bias = (self._w[f"onnx::Conv_{_STEM + n}"] for n in (0, 1))
        return F.gelu(F.conv1d(mel[None], weight, bias, stride=2, padding=1))[0].T

    def _block(self, x: Tensor, n: int) -> Tensor:
        first = _MATRIX + 9 * n
        x = x + 0.5 * self._feed(x, n, "ffn1", first)
        x = x + self._attend(x, n, first + 2)
        x = x + self._convolve(x, n)
        x = x + 0.5 * self._feed(x, n, "ffn2", first + 7)
        return self._norm(x, n, "norm")

    def _of(self, n: int, name: str) -> Tensor:
        return self._w[f"acoustic_model.model.blocks.{n}.{name}"]

    def _matrix(self, number: int) -> Tensor:
        return self._w[f"onnx::MatMul_{number}"]

    def _norm(self, x: Tensor, n: int, name: str) -> Tensor:
        weight, bias = (self._of(n, f"{name}.{part}") for part in ("weight", "bias"))
        return F.layer_norm(x, (WIDTH,), weight, bias)

    def _feed(self, x: Tensor, n: int, name: str, first: int) -> Tensor:
        y = self._norm(x, n, f"{name}.norm") @ self._matrix(first) + self._of(n, f"{name}.fc1.bias")
        return F.silu(y) @ self._matrix(first + 1) + self._of(n, f"{name}.fc2.bias")

    def _attend(self, x: Tensor, n: int, first: int) -> Tensor:
        y = self._norm(x, n, "attn_norm") @ self._matrix(first) + self._of(n, "attn.in_proj_bias")
        query, key, value = y.reshape(1, len(x), 3, _HEADS, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1)
        out = seen.reshape(len(x), WIDTH) @ self._matrix(first + 4)
        return out + self._of(n, "attn.out_proj.bias")

    def _convolve(self, x: Tensor, n: int) -> Tensor:
        def pointwise(y: Tensor, number: int) -> Tensor:
            weight, bias = (self._of(n, f"conv.pointwise{number}.{p}") for p in ("weight", "bias"))
            return F.conv1d(y, weight, bias)

        weight, bias = (self._w[f"onnx::Conv_{_DEPTHWISE + 3 * n + part}"] for part in (0, 1))
        y = F.glu(pointwise(self._norm(x, n, "conv.norm").T[None], 1), dim=1)
        y = F.silu(F.conv1d(y, weight, bias, padding=weight.shape[2] // 2, groups=WIDTH))
        return pointwise(y, 2)[0].T


@lru_cache(maxsize=1)
def network() -> Conformer:
    """The network of the installed package, read once.

    Raises:
        WeightsMissing: the package is not there, or another version is.
    """
    return Conformer(*load_weights())
