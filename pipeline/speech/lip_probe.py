"""A second vote for closed lips, read from inside the phone network.

The network names the phones of few languages: a b between the vowels of another one comes out as n,
v or d, with hardly any probability left for b. Its inner blocks still tell lips from tongue. A
small network over their outputs, five frames wide, gives the odds that the lips are closed, or that
the lip is at the teeth, at each frame. It was taught by `python -m tests.bench lips` on synthetic
speech and on voices cut from recordings of people, whose phones are known to the millisecond, in
languages that the benchmark of closures does not use, and in British English: without the many w
of that, the lips shut before a w.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from safetensors.torch import load_file
from torch import Tensor

FILE = Path(__file__).parent / "lips.safetensors"
CLOSED = -1.5
"""Log-odds of a peak from which the lips are closed, whatever was named there."""
OPEN = -2.2
"""Where the log-odds stay below it, no p, b, m, f or v is believed that was named there."""


@dataclass(frozen=True, slots=True)
class LipOdds:
    """Log-odds at each frame, 50 a second. Both are (S,)."""

    closed: Tensor
    """Lips together: p, b, m."""
    teeth: Tensor
    """Lip at the teeth: f, v."""


@dataclass(frozen=True, slots=True)
class LipReading:
    """The small network: 576 → 64, a convolution over five frames beside them, → three kinds."""

    inner: Tensor
    """(64, 576)."""
    inner_bias: Tensor
    """(64,)."""
    around: Tensor
    """(64, 64, 5)."""
    around_bias: Tensor
    """(64,)."""
    kinds: Tensor
    """(3, 64): neither, closed, teeth."""
    kinds_bias: Tensor
    """(3,)."""

    def __call__(self, hidden: Tensor) -> LipOdds:
        """Log-odds; the scores are means of three frames.

        Args:
            hidden: (S, 576), the outputs of all four blocks of `pipeline.speech.conformer`, 50 a
                second.
        """
        if len(hidden) == 0:
            return LipOdds(torch.zeros(0), torch.zeros(0))
        found = self.scores(hidden.float()[None])[0].softmax(1)
        _, closed, teeth = found.clamp(1e-6, 1 - 1e-6).logit().unbind(1)
        return LipOdds(closed, teeth)

    def scores(self, hidden: Tensor) -> Tensor:
        """(B, S, 576) to (B, S, 3)."""
        x = F.gelu(F.linear(hidden, self.inner, self.inner_bias))
        y = F.conv1d(x.transpose(1, 2), self.around, self.around_bias, padding="same")
        x = x + F.gelu(y).transpose(1, 2)
        return smooth(F.linear(x, self.kinds, self.kinds_bias))


def smooth(scores: Tensor) -> Tensor:
    """Mean of three frames, the ends held: (B, S, 3) to the same."""
    padded = F.pad(scores.transpose(1, 2), (1, 1), mode="replicate")
    return F.avg_pool1d(padded, 3, 1).transpose(1, 2)


@lru_cache(maxsize=1)
def lip_reading() -> LipReading:
    """The reading that ships."""
    kept = load_file(FILE)
    return LipReading(**{name: numbers.float() for name, numbers in kept.items()})
